// Runs a step of the set-up: shows its name while it runs and its time when it ends. Plain JavaScript: this runs on the
// Node that the user has (20 or later), before anything is installed.
import { spawn } from 'node:child_process';

export class SetupError extends Error {
  /**
   * @param {string} message what went wrong
   * @param {{ tail?: string[], remedy?: string }} [details] last lines of the failed program, and what the user can do
   */
  constructor(message, { tail = [], remedy = '' } = {}) {
    super(message);
    this.tail = tail;
    this.remedy = remedy;
  }
}

const tailLines = 20;

/**
 * Runs a program and resolves with its standard output; throws SetupError with the last lines of both outputs.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, remedy?: string, onLine?: (line: string) => void }} [options]
 * @returns {Promise<string>}
 */
export function run(program, args, { cwd, env = {}, remedy, onLine } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let both = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      out += text;
      both += text;
      if (onLine) for (const line of text.split('\n')) if (line !== '') onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      both += text;
    });
    child.on('error', (e) => reject(new SetupError(`cannot start ${program}: ${e.message}`, { remedy })));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(out);
      const tail = both.trimEnd().split('\n').slice(-tailLines);
      reject(new SetupError(`${[program, ...args].join(' ')} ended with ${signal ?? code}`, { tail, remedy }));
    });
  });
}

/**
 * `work` returns what to say behind the name ("up to date"), or nothing.
 * @param {string} name
 * @param {(progress: (text: string) => void) => Promise<string | undefined>} work
 */
export async function step(name, work) {
  const live = process.stderr.isTTY === true;
  const started = performance.now();
  const show = (text) => live && process.stderr.write(`\r\x1b[K  … ${name}${text ? `: ${text}` : ''}`);
  show('');
  try {
    const said = await work((text) => show(text.slice(0, 80)));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stderr.write(`${live ? '\r\x1b[K' : ''}  ✔ ${name}${said ? ` (${said})` : ''} ${seconds} s\n`);
  } catch (e) {
    process.stderr.write(`${live ? '\r\x1b[K' : ''}  ✘ ${name}\n`);
    throw e;
  }
}
