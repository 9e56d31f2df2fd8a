/**
 * A program: node proxies as istiod sees them, as cheap as can be, so that istiod is measured and not they. The parent says over IPC
 * what to do, and is told when what it waits for has come. Times are of the machine's monotonic clock, which processes share.
 */
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  deltaAdsService,
  deltaRequestMessage,
  deltaResponseMessage,
  structFromJson,
} from '../../common/api/index.ts';
import { GrpcStream } from './grpc-stream.ts';
import type { Command, Report } from './protocol.ts';

const method = deltaAdsService.DeltaAggregatedResources;

interface Marker {
  readonly bytes: Buffer;
  readonly id: number;
}

class Ztunnel {
  readonly #stream: GrpcStream;
  /** Monotonic ms. */
  readonly asked: number;
  bytes = 0;
  messages = 0;

  constructor(port: number, name: string, onMessage: (proxy: Ztunnel, type: string, message: Buffer) => void) {
    this.asked = now();
    this.#stream = new GrpcStream({
      port,
      path: method.path,
      onMessage: (message) => {
        const { type, nonce } = headOf(message);
        onMessage(this, type, message);
        this.bytes += message.length;
        this.messages++;
        this.#send({ typeUrl: type, responseNonce: nonce });
      },
      onEnd: (e) => failed(new Error(`the stream of ${name}: ${e.message}`)),
    });
    const node = {
      id: `ztunnel~127.0.0.1~${name}.istio-system~istio-system.svc.cluster.local`,
      metadata: structFromJson({ NAMESPACE: 'istio-system', NODE_NAME: name }),
    };
    for (const typeUrl of [addressTypeUrl, authorizationTypeUrl]) this.#send({ node, typeUrl });
  }

  close(): void {
    this.#stream.close();
  }

  #send(request: Parameters<typeof deltaRequestMessage.encode>[0]): void {
    this.#stream.send(deltaRequestMessage.encode(request));
  }
}

/** Type and nonce of a DeltaDiscoveryResponse; resources are passed over. */
function headOf(message: Buffer): { type: string; nonce: string } {
  let [type, nonce] = ['', ''];
  for (let at = 0; at < message.length; ) {
    const field = message[at++]! >> 3;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++]!;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (field === 4) type = message.toString('latin1', at, at + length);
    if (field === 5) nonce = message.toString('latin1', at, at + length);
    at += length;
  }
  return { type, nonce };
}

const warmUps = 30;

const proxies: Ztunnel[] = [];
let waiting: Marker[] = [];
let lastMessage = 0;
let longestSilence = 0;

function now(): number {
  return performance.timeOrigin + performance.now();
}

function failed(e: Error): void {
  tell({ kind: 'failed', reason: e.message });
}

function tell(report: Report): void {
  process.send?.(report);
}

function onMessage(proxy: Ztunnel, type: string, message: Buffer): void {
  if (proxy.messages < 2 && type === addressTypeUrl) {
    tell({ kind: 'synced', ms: now() - proxy.asked, bytes: message.length });
  }
  if (proxy !== proxies[0]) return;
  const at = now();
  if (lastMessage > 0) longestSilence = Math.max(longestSilence, at - lastMessage);
  lastMessage = at;
  const seen = waiting.filter((m) => message.includes(m.bytes));
  if (seen.length === 0) return;
  waiting = waiting.filter((m) => !seen.includes(m));
  tell({ kind: 'seen', ids: seen.map((m) => m.id), at });
}

/** So that the first client's time is istiod's: code that never ran takes this process longer than istiod takes for the answer. */
async function warmUp(): Promise<void> {
  const answers = [addressTypeUrl, authorizationTypeUrl].map((typeUrl) => {
    const body = deltaResponseMessage.encode({ typeUrl, nonce: '1' });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    return Buffer.concat([head, body]);
  });
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    for (const answer of answers) stream.write(answer);
  });
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < warmUps; i++) {
    await new Promise<void>((resolve) => {
      const proxy = new Ztunnel(port, 'warm-up', () => {
        if (proxy.messages === 0) return;
        setImmediate(() => {
          proxy.close();
          resolve();
        });
      });
    });
  }
  server.close();
}

await warmUp();
process.on('message', (command: Command) => {
  switch (command.kind) {
    case 'connect':
      for (let i = 0; i < command.count; i++)
        proxies.push(new Ztunnel(command.port, `proxy-${proxies.length}`, onMessage));
      break;
    case 'disconnect':
      for (const proxy of proxies.splice(command.keep)) proxy.close();
      break;
    case 'watch':
      waiting.push({ id: command.id, bytes: Buffer.from(command.hex, 'hex') });
      tell({ kind: 'watching', id: command.id });
      break;
    case 'silence':
      tell({ kind: 'silence', ms: Math.max(longestSilence, now() - lastMessage) });
      [lastMessage, longestSilence] = [now(), 0];
      break;
  }
});
process.on('disconnect', () => process.exit());
