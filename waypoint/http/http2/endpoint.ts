/** What both ends of an HTTP/2 connection do alike (RFC 9113): frames, settings, windows, header blocks, and bounds against hostile peers. */
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { ByteReader, ByteStream } from '../../net/byte-stream.ts';
import type { Departure } from '../../net/departure.ts';
import type { HeaderList } from '../message.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { FieldList, HpackDecoder } from './hpack/decoder.ts';
import { HpackEncoder } from './hpack/encoder.ts';
import {
  blockBytesWork,
  blockFactor,
  blockWork,
  frameWork,
  type Http2Settings,
  lastWords,
  mostContinuations,
  mostSettings,
  mostUnsent,
  NuisanceBudget,
  patience,
  smallWindow,
  turnWork,
} from './limits.ts';
import { Output } from './output.ts';
import { RecentStreams } from './ring.ts';
import type { Stream, StreamHost } from './stream.ts';
import {
  ConnectionError,
  defaultWindow,
  errorCode,
  flag,
  frameType,
  maxFrame,
  maxWindow,
  preface,
  setting,
} from './wire.ts';

/** A header block of which CONTINUATION is to come. */
interface OpenBlock {
  readonly stream: number;
  readonly flags: number;
  readonly dependsOn: number | undefined;
  readonly parts: Buffer[];
  bytes: number;
}

interface Announced {
  readonly window: number;
  readonly table: number;
}

interface Ping {
  readonly payload: number;
  answered(): void;
}

export abstract class Endpoint<S extends Stream> implements ByteReader, FrameSink, StreamHost {
  readonly #stream: ByteStream;
  readonly #settings: Http2Settings;
  readonly #frames = new FrameReader(this);
  readonly #decoder = new HpackDecoder();
  readonly #encoder = new HpackEncoder();
  readonly #output: Output;
  readonly #list: FieldList;
  readonly #budget: NuisanceBudget;
  readonly #recent = new RecentStreams();
  protected readonly clock: Clock;
  protected readonly streams = new Map<number, S>();
  #over = false;
  /** What was read since others had their turn, as limits.ts counts it. */
  #work = 0;
  /** What came while others have their turn; and whether the peer's end did. */
  #yielding: Buffer[] | undefined;
  #endsLater = false;
  #error: Error | undefined;
  #told = false;
  #left: Departure | undefined;
  #finishing = false;
  #settled = false;
  #waiting: Timer | undefined;
  #keepalive: Timer | undefined;
  /** The greatest stream of the peer's that was taken. */
  protected lastPeer = 0;

  #block: OpenBlock | undefined;
  /** SETTINGS of ours that the peer has not acknowledged. */
  readonly #unacknowledged: Announced[] = [];
  #pings: Ping[] = [];
  #pinged = 0;

  /** Windows that the peer gave us. */
  #sendWindow = defaultWindow;
  #peerWindow = defaultWindow;
  readonly #ready = new Set<Stream>();
  readonly #full = new Set<Stream>();
  #unsent = 0;

  /** Windows that we gave. */
  #receiveWindow: number;
  #owed = 0;
  #unread = 0;
  #small = false;
  announced: number;
  #acknowledged: number;

  constructor(stream: ByteStream, settings: Http2Settings, clock: Clock) {
    this.#stream = stream;
    this.#settings = settings;
    this.clock = clock;
    this.#output = new Output(stream);
    // The pseudo-headers do not count.
    this.#list = new FieldList(settings.bytes, settings.count + 5);
    this.#budget = new NuisanceBudget(clock.now());
    this.announced = settings.streamWindow;
    this.#acknowledged = settings.streamWindow;
    this.#receiveWindow = settings.connectionWindow;
  }

  /** To be called at the end of a subclass' constructor. */
  protected start(client: boolean, more: readonly (readonly [id: number, value: number])[]): void {
    const { streamWindow, connectionWindow, headerTable, bytes } = this.#settings;
    if (client) this.#output.raw(preface);
    this.#sendSettings({ window: streamWindow, table: headerTable }, [
      [setting.headerTableSize, headerTable],
      [setting.initialWindowSize, streamWindow],
      [setting.maxHeaderListSize, bytes],
      ...more,
    ]);
    if (connectionWindow > defaultWindow) {
      this.#output.small(frameType.windowUpdate, 0, 0, connectionWindow - defaultWindow);
    } else this.#receiveWindow = defaultWindow;
    this.#hurry('the peer sent no SETTINGS in time');
    const { keepalive } = this.#settings;
    if (keepalive) this.#keepalive = this.clock.after(keepalive.interval, () => this.#pingRegularly(keepalive));
    this.#stream.attach(this);
  }

  // What subclasses are told.

  /** A whole header block: a head, or trailers. */
  protected abstract onBlock(id: number, list: FieldList, end: boolean, dependsOn: number | undefined): void;
  /** A header block that is for no stream: before it is decoded. Throws, or the fields are dropped. */
  protected abstract onBlockBegins(id: number, complete: boolean): void;
  /** The first SETTINGS of the peer have come, or others. */
  protected abstract onSettings(first: boolean, streams: number): void;
  protected abstract onGoaway(lastStream: number, code: number): void;
  /** The last stream has ended. */
  protected abstract onEmpty(): void;
  protected abstract onStreamClosed(stream: S, byPeer: boolean): void;
  protected abstract onClosed(error: Error | undefined, departure: Departure): void;
  /** Streams that are told in one turn of the connection's end; `onClosed` comes behind the last. */
  protected abstract readonly lostAtOnce: number;
  /** The stream was never opened, by whoever may. */
  protected abstract isIdle(id: number): boolean;

  // ByteReader.

  bytes(chunk: Buffer): void {
    if (this.#over) return;
    if (this.#yielding) {
      this.#yielding.push(chunk);
      return;
    }
    try {
      this.take(chunk);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error);
    }
    if (this.sated && !this.#over) this.#yield();
  }

  #yield(): void {
    const chunks: Buffer[] = [];
    this.#yielding = chunks;
    this.#stream.pause();
    setImmediate(() => {
      this.#yielding = undefined;
      this.#work = 0;
      // Also of a connection that failed meanwhile: its end is to be read.
      this.#stream.resume();
      this.bytes(Buffer.concat(chunks));
      if (this.#endsLater && !this.#yielding) this.ended();
    });
  }

  protected take(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  ended(): void {
    if (this.#over || this.#finishing) return;
    this.#depart('peer');
    if (this.#yielding) this.#endsLater = true;
    else if (this.streams.size === 0) this.finish();
    else this.#stream.destroy();
  }

  closed(error: Error | undefined): void {
    if (this.#told) return;
    this.#told = true;
    this.#depart('peer');
    this.#over = true;
    this.#waiting?.cancel();
    this.#keepalive?.cancel();
    const why = this.#error ?? error;
    const departure = this.#left!;
    this.#loseStreams(why, () => this.onClosed(why, departure));
  }

  drained(): void {
    this.#output.blocked = false;
    this.#unsent = 0;
    this.#pump();
  }

  // FrameSink.

  get over(): boolean {
    return this.#over;
  }

  get sated(): boolean {
    return this.#work >= turnWork;
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    this.#work += frameWork;
    if (this.#block && type !== frameType.continuation) throw protocol('a frame within a header block');
    if (!this.#settled && type !== frameType.settings) throw protocol('the first frame is not SETTINGS');
    switch (type) {
      case frameType.headers:
        this.#onHeaders(flags, id, bytes, start, end);
        break;
      case frameType.continuation:
        this.#onContinuation(flags, id, bytes.subarray(start, end));
        break;
      case frameType.windowUpdate:
        this.#onWindowUpdate(id, bytes, start, end);
        break;
      case frameType.rstStream:
        this.#onReset(id, bytes, start, end);
        break;
      case frameType.settings:
        this.#onSettingsFrame(flags, id, bytes, start, end);
        break;
      case frameType.ping:
        this.#onPing(flags, id, bytes, start, end);
        break;
      case frameType.goaway:
        if (id !== 0) throw protocol('GOAWAY on a stream');
        if (end - start < 8) throw sized('GOAWAY');
        this.#nuisance();
        this.onGoaway(bytes.readUInt32BE(start) & 0x7fffffff, bytes.readUInt32BE(start + 4));
        break;
      case frameType.priority:
        if (id === 0) throw protocol('PRIORITY on no stream');
        this.#nuisance();
        if (end - start !== 5) this.#offend(id, errorCode.frameSize, 'PRIORITY of a wrong length');
        break;
      case frameType.pushPromise:
        throw protocol('PUSH_PROMISE');
      default:
        this.#nuisance();
    }
  }

  dataBegins(id: number, flags: number, empty: boolean): void {
    this.#work += frameWork;
    if (this.#block) throw protocol('DATA within a header block');
    if (!this.#settled) throw protocol('the first frame is not SETTINGS');
    if (id === 0) throw protocol('DATA on no stream');
    if (empty && (flags & flag.endStream) === 0) this.#nuisance();
    else this.#budget.earn();
    const stream = this.streams.get(id);
    if (stream) {
      if (stream.remoteEnded) stream.offend(errorCode.streamClosed, 'DATA after the end of the stream');
      else if (!this.mayHaveData(stream)) stream.offend(errorCode.protocol, 'DATA before HEADERS');
      return;
    }
    if (this.isIdle(id)) throw protocol('DATA on a stream that was not opened');
    if (this.#recent.get(id) === 'over') throw new ConnectionError(errorCode.streamClosed, 'DATA on a closed stream');
    if (empty) this.#nuisance();
  }

  /** Its head has come. */
  protected mayHaveData(_stream: S): boolean {
    return true;
  }

  data(id: number, chunk: Buffer | undefined, counted: number): void {
    this.#receiveWindow -= counted;
    if (this.#receiveWindow < 0) {
      throw new ConnectionError(errorCode.flowControl, 'more DATA than the window of the connection');
    }
    this.#owed += counted;
    const stream = this.streams.get(id);
    if (stream) {
      if (!stream.takes(counted)) stream.offend(errorCode.flowControl, 'more DATA than the window of the stream');
      else if (!chunk) stream.credit(counted);
      else if (!stream.receive(chunk)) {
        stream.offend(errorCode.protocol, 'a body longer than its Content-Length');
      }
    }
    this.#giveBack();
  }

  dataEnds(id: number, flags: number): void {
    if ((flags & flag.endStream) === 0) return;
    const stream = this.streams.get(id);
    if (stream && !stream.remoteEnded && !stream.receiveEnd(undefined)) {
      stream.offend(errorCode.protocol, 'a body shorter than its Content-Length');
    }
  }

  /** The connection's window bounds what is unread to three times its size; before that, the streams' windows are made small. */
  #giveBack(): void {
    const { connectionWindow } = this.#settings;
    if (this.#over || this.#owed * 2 < connectionWindow || this.#unread > 2 * connectionWindow) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#receiveWindow += owed;
    this.#output.small(frameType.windowUpdate, 0, 0, owed);
  }

  // Header blocks.

  #onHeaders(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocol('HEADERS on no stream');
    let from = start;
    let to = end;
    if (flags & flag.padded) {
      if (from >= to) throw sized('HEADERS');
      to -= bytes[from++]!;
    }
    let dependsOn: number | undefined;
    if (to < from) throw protocol('padding longer than its frame');
    if (flags & flag.priority) {
      if (to - from < 5) throw sized('HEADERS');
      dependsOn = bytes.readUInt32BE(from) & 0x7fffffff;
      from += 5;
    }
    const complete = (flags & flag.endHeaders) !== 0;
    this.onBlockBegins(id, complete);
    const block = bytes.subarray(from, to);
    if (complete) {
      this.#decode(id, flags, dependsOn, block);
      return;
    }
    this.#block = { stream: id, flags, dependsOn, parts: [Buffer.from(block)], bytes: block.length };
    this.#hurry('the rest of a header block did not come in time');
  }

  #onContinuation(flags: number, id: number, part: Buffer): void {
    const block = this.#block;
    if (!block || block.stream !== id) throw protocol('CONTINUATION of nothing');
    block.bytes += part.length;
    if (block.bytes > blockFactor * this.#settings.bytes || block.parts.length > mostContinuations) {
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a header block larger than allowed');
    }
    if (part.length === 0) this.#nuisance();
    block.parts.push(Buffer.from(part));
    if ((flags & flag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#waiting?.cancel();
    this.#decode(id, block.flags, block.dependsOn, Buffer.concat(block.parts));
  }

  #decode(id: number, flags: number, dependsOn: number | undefined, block: Buffer): void {
    const list = this.#list;
    this.#work += blockWork + block.length / blockBytesWork;
    this.#decoder.decode(block, list);
    this.onBlock(id, list, (flags & flag.endStream) !== 0, dependsOn);
    list.clear();
  }

  /** HEADERS on a stream that is not open: what it was decides (RFC 9113 5.1). False: to be ignored. */
  protected refuseClosed(id: number): void {
    const ending = this.#recent.get(id);
    if (ending === 'over') throw new ConnectionError(errorCode.streamClosed, 'HEADERS on a closed stream');
    if (ending === undefined) throw protocol('HEADERS on a stream that cannot be opened any more');
    this.#nuisance();
  }

  protected sendHeaders(id: number, pseudo: readonly string[], headers: HeaderList, end: boolean): void {
    const encoder = this.#encoder;
    encoder.begin();
    for (let i = 0; i < pseudo.length; i += 2) encoder.field(pseudo[i]!, pseudo[i + 1]!);
    for (let i = 0; i < headers.length; i += 2) encoder.field(headers[i]!, headers[i + 1]!);
    this.#budget.earn();
    this.#output.headers(id, encoder.out, encoder.length, end);
    this.#holdsBack(encoder.length);
  }

  /** A peer that asks and does not read must not make us keep what we would answer. */
  #holdsBack(bytes: number): void {
    if (!this.#output.blocked) return;
    this.#unsent += bytes + 32;
    if (this.#unsent > mostUnsent) {
      this.fail(new ConnectionError(errorCode.enhanceYourCalm, 'the peer does not read what it asked for'));
    }
  }

  // Frames of the connection.

  #onSettingsFrame(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocol('SETTINGS on a stream');
    const length = end - start;
    if (flags & flag.ack) {
      if (length !== 0) throw sized('an answer to SETTINGS');
      this.#onAcknowledged();
      return;
    }
    if (length % 6 !== 0) throw sized('SETTINGS');
    if (length > 6 * mostSettings) throw new ConnectionError(errorCode.enhanceYourCalm, 'more SETTINGS than there are');
    const first = !this.#settled;
    this.#settled = true;
    if (first) this.#waiting?.cancel();
    this.#nuisance(1 + Math.floor(length / 96));
    let streams = Number.NaN;
    let window: number | undefined;
    for (let at = start; at < end; at += 6) {
      const what = bytes.readUInt16BE(at);
      const value = bytes.readUInt32BE(at + 2);
      switch (what) {
        case setting.headerTableSize:
          this.#encoder.limit(value);
          break;
        case setting.enablePush:
          this.checkPush(value);
          break;
        case setting.maxConcurrentStreams:
          streams = value;
          break;
        case setting.initialWindowSize:
          if (value > maxWindow) throw new ConnectionError(errorCode.flowControl, 'SETTINGS_INITIAL_WINDOW_SIZE');
          window = value;
          break;
        case setting.maxFrameSize:
          if (value < maxFrame || value > 0xffffff) throw protocol('SETTINGS_MAX_FRAME_SIZE');
          break;
        case setting.enableConnectProtocol:
          if (value > 1) throw protocol('SETTINGS_ENABLE_CONNECT_PROTOCOL');
      }
    }
    this.#output.frame(frameType.settings, flag.ack, 0, nothing);
    this.#holdsBack(0);
    // Behind the answer: what the window lets go was not allowed before it.
    if (window !== undefined) this.#onPeerWindow(window);
    this.onSettings(first, streams);
  }

  protected checkPush(value: number): void {
    if (value > 1) throw protocol('SETTINGS_ENABLE_PUSH');
  }

  #onPeerWindow(value: number): void {
    const difference = value - this.#peerWindow;
    this.#peerWindow = value;
    for (const stream of [...this.streams.values()]) {
      if (!stream.widen(difference)) throw new ConnectionError(errorCode.flowControl, 'a window beyond 2^31-1');
      this.#relieve(stream);
    }
  }

  #onAcknowledged(): void {
    const settings = this.#unacknowledged.shift();
    if (!settings) throw protocol('an answer to SETTINGS that were not sent');
    this.#decoder.allow(settings.table);
    const difference = settings.window - this.#acknowledged;
    this.#acknowledged = settings.window;
    for (const stream of this.streams.values()) stream.receiveWindow += difference;
  }

  #sendSettings(settings: Announced, entries: readonly (readonly [id: number, value: number])[]): void {
    this.#unacknowledged.push(settings);
    const payload = Buffer.alloc(entries.length * 6);
    for (const [i, [what, value]] of entries.entries()) {
      payload.writeUInt16BE(what, i * 6);
      payload.writeUInt32BE(value, i * 6 + 2);
    }
    this.#output.frame(frameType.settings, 0, 0, payload);
  }

  #onPing(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocol('PING on a stream');
    if (end - start !== 8) throw sized('PING');
    const payload = bytes.readUInt32BE(start + 4);
    if (flags & flag.ack) {
      const ping = bytes.readUInt32BE(start) === 0 ? this.#pings.find((p) => p.payload === payload) : undefined;
      this.#pings = this.#pings.filter((p) => p !== ping);
      if (ping) ping.answered();
      else this.#nuisance();
      return;
    }
    this.#nuisance();
    this.#output.small(frameType.ping, flag.ack, 0, bytes.readUInt32BE(start), payload);
    this.#holdsBack(0);
  }

  protected ping(answered: () => void): void {
    const payload = ++this.#pinged;
    this.#pings.push({ payload, answered });
    this.#output.small(frameType.ping, 0, 0, 0, payload);
  }

  #pingRegularly(keepalive: NonNullable<Http2Settings['keepalive']>): void {
    if (this.#over || this.#finishing) return;
    this.#keepalive = this.clock.after(keepalive.timeout, () => this.cut(new Error('the peer answers no PING')));
    this.ping(() => {
      this.#keepalive?.cancel();
      this.#keepalive = this.clock.after(keepalive.interval, () => this.#pingRegularly(keepalive));
    });
  }

  #onWindowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw sized('WINDOW_UPDATE');
    const more = bytes.readUInt32BE(start) & 0x7fffffff;
    if (id === 0) {
      if (more === 0) throw protocol('WINDOW_UPDATE of nothing');
      this.#sendWindow += more;
      if (this.#sendWindow > maxWindow) throw new ConnectionError(errorCode.flowControl, 'a window beyond 2^31-1');
      this.#pump();
      return;
    }
    const stream = this.streams.get(id);
    if (!stream) {
      if (this.isIdle(id)) throw protocol('WINDOW_UPDATE on a stream that was not opened');
      this.#nuisance();
    } else if (more === 0) stream.offend(errorCode.protocol, 'WINDOW_UPDATE of nothing');
    else if (!stream.widen(more)) stream.offend(errorCode.flowControl, 'a window beyond 2^31-1');
    else this.#relieve(stream);
  }

  #onReset(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocol('RST_STREAM on no stream');
    if (end - start !== 4) throw sized('RST_STREAM');
    const stream = this.streams.get(id);
    if (stream) this.onReset(stream, bytes.readUInt32BE(start));
    else if (this.isIdle(id)) throw protocol('RST_STREAM on a stream that was not opened');
    else this.#nuisance();
  }

  protected abstract onReset(stream: S, code: number): void;

  #offend(id: number, code: number, detail: string): void {
    const stream = this.streams.get(id);
    if (stream) stream.offend(code, detail);
    else throw new ConnectionError(code, detail);
  }

  /** The peer knows our first SETTINGS. */
  protected get acknowledged(): boolean {
    return this.#unacknowledged.length === 0;
  }

  protected nuisance(frames: number): void {
    this.#nuisance(frames);
  }

  #nuisance(frames = 1): void {
    if (this.#budget.spend(this.clock.now(), frames)) return;
    throw new ConnectionError(errorCode.enhanceYourCalm, 'too many frames that are of no use');
  }

  // StreamHost.

  get blocked(): boolean {
    return this.#output.blocked;
  }

  takeWindow(wanted: number): number {
    const bytes = Math.min(wanted, this.#sendWindow, maxFrame);
    if (bytes <= 0) return 0;
    this.#sendWindow -= bytes;
    return bytes;
  }

  sendData(stream: Stream, chunk: Buffer, end: boolean): void {
    if (this.#over) return;
    this.#budget.earn();
    this.#output.data(stream.id, chunk, end);
  }

  sendEnd(stream: Stream, trailers: HeaderList | undefined): void {
    if (this.#over) return;
    if (trailers && trailers.length > 0) this.sendHeaders(stream.id, noFields, trailers, true);
    else if (!this.#output.endLast(stream.id)) this.#output.data(stream.id, nothing, true);
  }

  sendWindow(stream: Stream, bytes: number): void {
    if (!this.#over) this.#output.small(frameType.windowUpdate, 0, stream.id, bytes);
  }

  sendReset(stream: Stream, code: number): void {
    this.#sendReset(stream.id, code);
  }

  /** Of a stream that never came to be. */
  protected refuse(id: number, code: number): void {
    this.#recent.add(id, 'reset-by-us');
    this.#sendReset(id, code);
  }

  #sendReset(id: number, code: number): void {
    if (this.#over) return;
    this.#output.small(frameType.rstStream, 0, id, code);
    this.#holdsBack(0);
  }

  queued(stream: Stream): void {
    this.#ready.add(stream);
  }

  full(stream: Stream): void {
    this.#full.add(stream);
  }

  kept(bytes: number): void {
    this.#unread += bytes;
    const { connectionWindow, streamWindow } = this.#settings;
    const small = this.#unread > (this.#small ? connectionWindow / 4 : connectionWindow);
    if (small !== this.#small && !this.#over && streamWindow > smallWindow && this.#unacknowledged.length < 4) {
      this.#small = small;
      this.announced = small ? smallWindow : streamWindow;
      this.#sendSettings({ window: this.announced, table: this.#settings.headerTable }, [
        [setting.initialWindowSize, this.announced],
      ]);
    }
    if (bytes < 0) this.#giveBack();
  }

  streamClosed({ id, resetByUs }: Stream, byPeer: boolean): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    this.streams.delete(id);
    this.#recent.add(id, resetByUs ? 'reset-by-us' : 'over');
    this.#ready.delete(stream);
    this.onStreamClosed(stream, byPeer);
    if (this.streams.size === 0) this.onEmpty();
  }

  // For subclasses.

  /** Windows of a new stream: what we may send, and what the peer may. */
  protected get windows(): readonly [send: number, receive: number] {
    return [this.#peerWindow, this.#acknowledged];
  }

  /** Lets waiting streams send, one frame each in turn. */
  #pump(): void {
    const ready = this.#ready;
    while (ready.size > 0 && !this.#output.blocked && this.#sendWindow > 0) {
      const [stream] = ready;
      ready.delete(stream!);
      stream!.send(1);
    }
    for (const stream of [...this.#full]) this.#relieve(stream);
  }

  #relieve(stream: Stream): void {
    if (!this.#output.blocked && this.#full.has(stream) && stream.relieve()) this.#full.delete(stream);
  }

  /** No further frame is read. The peer has a moment to read why. */
  protected fail(error: ConnectionError): void {
    if (this.#over) return;
    this.#depart('us');
    this.#say(error, error.code, error.message);
    // Not from within the call of one of them.
    process.nextTick(() => this.#loseStreams(error, () => undefined));
    if (this.#output.blocked) setImmediate(() => this.#stream.destroy(error));
    else {
      this.#stream.end();
      this.#waiting = this.clock.after(lastWords, () => this.#stream.destroy(error));
    }
  }

  cut(error: Error): void {
    this.#depart('us');
    if (!this.#over) {
      for (const stream of this.streams.values()) this.#sendReset(stream.id, errorCode.cancel);
      this.#say(error, errorCode.noError, '');
    }
    setImmediate(() => this.#stream.destroy(error));
  }

  #say(error: Error, code: number, detail: string): void {
    this.#error ??= error;
    this.goaway(this.lastPeer, code, detail);
    this.#output.flush();
    this.#over = true;
    this.#waiting?.cancel();
  }

  #loseStreams(error: Error | undefined, then: () => void): void {
    for (const stream of [...this.streams.values()].slice(0, this.lostAtOnce)) {
      stream.lost({ kind: 'reset', detail: error?.message ?? 'the connection was closed' });
    }
    if (this.streams.size === 0) then();
    else setImmediate(() => this.#loseStreams(error, then));
  }

  protected goaway(last: number, code: number, detail: string): void {
    const text = Buffer.from(detail, 'latin1');
    const payload = Buffer.alloc(8 + text.length);
    payload.writeUInt32BE(last, 0);
    payload.writeUInt32BE(code, 4);
    text.copy(payload, 8);
    this.#output.frame(frameType.goaway, 0, 0, payload);
  }

  /** All is done: nothing more is sent. */
  protected finish(): void {
    if (this.#over || this.#finishing) return;
    this.#depart('us');
    this.#finishing = true;
    this.#output.flush();
    this.#stream.end();
  }

  /** The first word of it counts. */
  #depart(by: Departure['by']): void {
    this.#left ??= { by, isBusy: this.streams.size > 0 };
  }

  protected lose(error: Error): void {
    this.#stream.destroy(error);
  }

  #hurry(otherwise: string): void {
    this.#waiting?.cancel();
    this.#waiting = this.clock.after(patience, () =>
      this.fail(new ConnectionError(errorCode.enhanceYourCalm, otherwise)),
    );
  }
}

const nothing = Buffer.alloc(0);
const noFields: readonly string[] = [];

function protocol(detail: string): ConnectionError {
  return new ConnectionError(errorCode.protocol, detail);
}

function sized(what: string): ConnectionError {
  return new ConnectionError(errorCode.frameSize, `${what} of a wrong length`);
}
