/** Serves a client of SOCKS 5 on the pod's loopback: its destination goes the way of a captured connection. */
import { millis } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Ip, SocketAddr } from '../../common/core/net.ts';
import type { Accepted } from '../proxy/accept.ts';
import { handleOutbound, type Manner } from '../proxy/outbound.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import type { ProxyRuntime } from '../proxy/runtime.ts';
import {
  formatReply,
  greetingAccepted,
  longestGreeting,
  longestRequest,
  readGreeting,
  readRequest,
  reply,
  replyTo,
  type Target,
} from './protocol.ts';

/** An address of a name, as the DNS proxy would answer; undefined where it has none. MeshError. */
export type NameLookup = (name: string, signal: AbortSignal) => Promise<Ip | undefined>;

export interface SocksOptions {
  readonly lookup: NameLookup;
  /** Counts and logs a client that did not say properly what it wants, or wants a name that is not there. */
  readonly refused: (reason: string, remote: SocketAddr) => void;
}

/** ms from the first byte that could come to the last of the request, and for the name in it. */
const handshakeTimeout = millis(10_000);
/** ms for a client to take its refusal. */
const lingering = millis(1_000);

/** Settles when the connection is over. Never rejects. */
export async function handleSocks(
  accepted: Accepted,
  pod: ProxiedPod,
  runtime: ProxyRuntime,
  { lookup, refused }: SocksOptions,
): Promise<void> {
  const { socket, remote } = accepted;
  const { clock } = runtime;
  const late = new AbortController();
  const timer = clock.after(handshakeTimeout, () =>
    late.abort(new MeshError('CONNECT_TIMEOUT', 'its name was not resolved in time')),
  );
  // An error is followed by 'close', which is what the stages look at.
  socket.on('error', () => undefined);
  try {
    const target = await negotiate(socket, late.signal);
    const address = target.kind === 'address' ? target.address : await resolved(target, lookup, late.signal);
    timer.cancel();
    if (socket.destroyed) return;
    await handleOutbound(accepted, pod, runtime, manner(address, clock));
  } catch (e) {
    timer.cancel();
    refused(describeError(e), remote);
    const answer = e instanceof Malformed ? e.answer : formatReply(replyTo(e));
    end(socket, answer, clock);
  }
}

function manner(address: SocketAddr, clock: Clock): Manner {
  return {
    destination: () => address,
    connected: (socket) => void socket.write(formatReply(reply.succeeded)),
    failed: (socket, cause) => end(socket, formatReply(replyTo(cause)), clock),
  };
}

/** The client is to be answered with these bytes, if any, and no more. */
class Malformed extends Error {
  readonly answer: Buffer | undefined;

  constructor(reason: string, answer: Buffer | undefined) {
    super(reason);
    this.answer = answer;
  }
}

/** Reads greeting and request; what the client sent after them stays in the socket, which is paused again. */
async function negotiate(socket: ByteStream, signal: AbortSignal): Promise<Target> {
  const input = new Input(socket, signal);
  for (;;) {
    const greeting = readGreeting(input.bytes);
    if (greeting.kind === 'malformed') throw new Malformed(greeting.reason, greeting.answer);
    if (greeting.kind === 'partial') {
      await input.more(longestGreeting);
      continue;
    }
    input.drop(greeting.size);
    break;
  }
  socket.write(greetingAccepted);
  for (;;) {
    const request = readRequest(input.bytes);
    if (request.kind === 'malformed') throw new Malformed(request.reason, formatReply(request.code));
    if (request.kind === 'partial') {
      await input.more(longestRequest);
      continue;
    }
    input.drop(request.size);
    input.giveBack();
    return request.target;
  }
}

/** Bytes that have come and are not read yet. */
class Input {
  bytes: Buffer = Buffer.alloc(0);
  readonly #socket: ByteStream;
  readonly #signal: AbortSignal;

  constructor(socket: ByteStream, signal: AbortSignal) {
    this.#socket = socket;
    this.#signal = signal;
  }

  /** Waits for at least one more byte; `most` is what a message may have. */
  async more(most: number): Promise<void> {
    if (this.bytes.length >= most) throw new Malformed('its message is longer than any', undefined);
    this.bytes = Buffer.concat([this.bytes, await nextChunk(this.#socket, this.#signal)]);
  }

  drop(size: number): void {
    this.bytes = this.bytes.subarray(size);
  }

  giveBack(): void {
    if (this.bytes.length > 0) this.#socket.unshift(this.bytes);
  }
}

/** Leaves the socket paused. */
function nextChunk(socket: ByteStream, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      socket.pause();
      socket.off('data', onData);
      socket.off('end', onGone);
      socket.off('close', onGone);
      signal.removeEventListener('abort', onAbort);
    };
    const onData = (chunk: Buffer) => {
      settle();
      resolve(chunk);
    };
    const fail = (reason: string) => {
      settle();
      reject(new Malformed(reason, undefined));
    };
    const onGone = () => fail('the client went away before it had said what it wants');
    const onAbort = () => fail(`no request within ${handshakeTimeout} ms`);
    if (signal.aborted) return onAbort();
    if (socket.destroyed || socket.readableEnded) return onGone();
    socket.on('data', onData);
    socket.on('end', onGone);
    socket.on('close', onGone);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.resume();
  });
}

async function resolved(
  { name, port }: Extract<Target, { kind: 'name' }>,
  lookup: NameLookup,
  signal: AbortSignal,
): Promise<SocketAddr> {
  const ip = await lookup(name, signal);
  if (ip === undefined) throw new MeshError('NO_HEALTHY_UPSTREAM', `${name} has no address`);
  return { ip, port };
}

/** An orderly end, so that the answer arrives; a client that does not take it is cut. */
function end(socket: ByteStream, answer: Buffer | undefined, clock: Clock): void {
  if (socket.destroyed) return;
  const timer = clock.after(lingering, () => socket.destroy());
  socket.once('close', () => timer.cancel());
  socket.once('end', () => socket.destroy());
  socket.resume();
  if (answer) socket.end(answer);
  else socket.end();
}
