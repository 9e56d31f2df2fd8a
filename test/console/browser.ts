/** A headless Chromium, driven by the DevTools protocol over two pipes (https://chromedevtools.github.io/devtools-protocol). */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export const chromium = 'chromium-headless-shell';

// biome-ignore lint/suspicious/noExplicitAny: answers have the shape of what was asked
export type Json = any;

export class Page extends EventEmitter {
  readonly #send: (method: string, params?: object) => Promise<Json>;

  constructor(send: (method: string, params?: object) => Promise<Json>) {
    super();
    this.#send = send;
  }

  command(method: string, params?: object): Promise<Json> {
    return this.#send(method, params);
  }

  /** The value of an expression or a promise of it in the page; an error there is one here. */
  async eval<T>(expression: string): Promise<T> {
    const answer = await this.#send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails !== undefined) {
      throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    }
    return answer.result.value;
  }

  async open(url: string): Promise<void> {
    const loaded = once(this, 'Page.loadEventFired');
    await this.#send('Page.navigate', { url });
    await loaded;
  }

  /** Pressed and let go; by its DOM name. */
  async press(key: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = {
      Enter: 13,
      Escape: 27,
      Tab: 9,
      ArrowLeft: 37,
      ArrowUp: 38,
      ArrowRight: 39,
      ArrowDown: 40,
    };
    const text = key === 'Enter' ? { text: '\r' } : {};
    const params = { key, code: key, windowsVirtualKeyCode: codes[key] ?? key.charCodeAt(0), ...text };
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', ...params });
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', ...params });
  }

  mouse(type: 'mousePressed' | 'mouseMoved' | 'mouseReleased', x: number, y: number): Promise<Json> {
    const held = type === 'mouseReleased' ? 0 : 1;
    return this.#send('Input.dispatchMouseEvent', { type, x, y, button: 'left', buttons: held, clickCount: 1 });
  }

  /** PNG. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }
}

/** Runs `body` with one page of that size; the browser and its profile are gone afterwards. */
export async function withPage(
  size: { width: number; height: number },
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const profile = await mkdtemp(join(tmpdir(), 'aq-chromium-'));
  const flags = [
    '--remote-debugging-pipe',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    `--user-data-dir=${profile}`,
    `--window-size=${size.width},${size.height}`,
    'about:blank',
  ];
  const browser = spawn(chromium, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true });
  const ended = once(browser, 'exit');
  try {
    const send = connect(browser);
    const { targetInfos } = await send.command('Target.getTargets');
    const { targetId } = targetInfos.find((t: Json) => t.type === 'page');
    const { sessionId } = await send.command('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page((method, params) => send.command(method, params, sessionId));
    send.onEvent((method, params) => page.emit(method, params));
    for (const domain of ['Page', 'Runtime', 'Accessibility', 'Log', 'Performance'])
      await page.command(`${domain}.enable`);
    await body(page);
  } finally {
    // With its helpers, which hold the pipes, too.
    process.kill(-browser.pid!, 'SIGKILL');
    await ended;
    for (const stream of browser.stdio) stream?.destroy();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function connect(browser: ChildProcess) {
  const [input, output] = [browser.stdio[3] as Writable, browser.stdio[4] as Readable];
  const waiting = new Map<number, { resolve: (answer: Json) => void; reject: (error: Error) => void }>();
  let onEvent: (method: string, params: Json) => void = () => undefined;
  let last = 0;
  let text = '';
  output.setEncoding('utf8').on('data', (part: string) => {
    const messages = (text + part).split('\0');
    text = messages.pop()!;
    for (const message of messages) {
      const { id, method, params, result, error } = JSON.parse(message) as Json;
      if (id === undefined) onEvent(method, params);
      else if (error === undefined) waiting.get(id)?.resolve(result);
      else waiting.get(id)?.reject(new Error(error.message));
      waiting.delete(id);
    }
  });
  input.on('error', () => undefined);
  browser.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has ended'));
  });
  return {
    onEvent(listener: typeof onEvent) {
      onEvent = listener;
    },
    command(method: string, params: object = {}, sessionId?: string): Promise<Json> {
      const id = ++last;
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
  };
}
