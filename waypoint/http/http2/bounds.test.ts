/** What raw bytes of a hostile or slow peer come to at our end of HTTP/2, by a clock that the test moves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import {
  frame,
  goaway,
  headerBlock,
  headersFrame,
  preface,
  rstStream,
  settingsAck,
  settingsFrame,
  uint32,
  windowUpdate,
} from '../../../common/testing/h2-frames.ts';
import { HeldBytes } from '../../testing/held-bytes.ts';
import type { Break, ClientExchange, RequestHead, ResponseHead, ServerExchange } from '../message.ts';
import { Http2Client } from './client.ts';
import {
  begunAtOnce,
  firstTrust,
  lastWords,
  lostAtOnce,
  mostSettings,
  mostTrust,
  NuisanceBudget,
  patience,
  turnWork,
} from './limits.ts';
import { Http2Server } from './server.ts';
import { errorCode, flag, frameType, maxFrame, maxWindow, setting } from './wire.ts';

const settings = {
  bytes: 60_000,
  count: 100,
  streams: 100,
  streamWindow: 65_535,
  connectionWindow: 1_048_576,
  headerTable: 4_096,
  keepalive: undefined,
};

const get = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a.test'],
  [':path', '/'],
] as const;
const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));
const whole = (stream: number) => headersFrame(stream, get, flag.endHeaders | flag.endStream);
const data = (stream: number, bytes: Uint8Array, flags = 0) => frame(frameType.data, flags, stream, bytes);

/** What reached whoever reads a message. */
class Read {
  bytes = 0;
  ended = false;
  why: Break | undefined;
  drains = 0;

  data(chunk: Buffer): void {
    this.bytes += chunk.length;
  }
  end(): void {
    this.ended = true;
  }
  broke(why: Break): void {
    this.why = why;
  }
  drained(): void {
    this.drains++;
  }
}

/** A connection whose first SETTINGS are exchanged. */
class Wire {
  readonly clock = new FakeClock();
  readonly bytes: HeldBytes;
  closed = false;

  constructor(client: boolean) {
    this.bytes = new HeldBytes(client);
  }

  sends(...frames: readonly Uint8Array[]): Promise<void> {
    return this.bytes.comes(...frames);
  }

  async passes(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.bytes.turn();
  }

  /** Frames of that type that were sent, all streams together unless one is named. */
  sent(type: number, stream?: number) {
    return this.bytes.frames.filter((f) => f.type === type && (stream === undefined || f.stream === stream));
  }

  /** Last stream and code of each GOAWAY. */
  get goaways(): readonly (readonly [last: number, code: number])[] {
    return this.sent(frameType.goaway).map(
      ({ payload }) => [payload.readUInt32BE(0), payload.readUInt32BE(4)] as const,
    );
  }

  sentData(stream: number): number {
    return this.sent(frameType.data, stream).reduce((sum, { payload }) => sum + payload.length, 0);
  }

  get goesOn(): boolean {
    return this.goaways.length === 0 && !this.bytes.ended && !this.bytes.destroyed;
  }
}

class Served extends Wire {
  readonly exchanges: ServerExchange[] = [];
  readonly reads: Read[] = [];
  begun = 0;
  endings = 0;
  readonly server: Http2Server;

  constructor(more: Partial<typeof settings> = {}) {
    super(false);
    this.server = new Http2Server(this.bytes, { ...settings, ...more, connect: true }, this.clock, {
      exchange: (exchange) => {
        const read = new Read();
        exchange.read(read);
        this.exchanges.push(exchange);
        this.reads.push(read);
      },
      begun: () => void this.begun++,
      idle: () => undefined,
      ending: () => void this.endings++,
      malformed: (status) => ({ head: { status, headers: [] }, body: '' }),
      closed: () => {
        this.closed = true;
      },
    });
  }

  static async open(more: Partial<typeof settings> = {}, window = 65_535): Promise<Served> {
    const served = new Served(more);
    await served.sends(preface, settingsFrame([[setting.initialWindowSize, window]]), settingsAck);
    return served;
  }
}

class Asking extends Wire {
  readonly client: Http2Client;
  readonly answers: (Read & { head?: ResponseHead })[] = [];
  draining = false;

  private constructor() {
    super(true);
    this.client = new Http2Client(this.bytes, settings, 'http', this.clock, () => undefined, {
      allowed: () => undefined,
      draining: () => {
        this.draining = true;
      },
      closed: () => {
        this.closed = true;
      },
    });
  }

  static async open(): Promise<Asking> {
    const asking = new Asking();
    await asking.sends(settingsFrame(), settingsAck);
    return asking;
  }

  ask(): ClientExchange {
    const head: RequestHead = {
      method: 'GET',
      path: '/',
      authority: 'a.test',
      scheme: 'http',
      headers: [],
      upgrade: undefined,
      version: 'HTTP/2',
    };
    const read: Read & { head?: ResponseHead } = new Read();
    this.answers.push(read);
    const reader = Object.assign(read, {
      informational: () => undefined,
      response: (answer: ResponseHead) => {
        read.head = answer;
      },
    });
    return this.client.request(head, true, reader);
  }
}

const ok = (stream: number) => headersFrame(stream, [[':status', '200']], flag.endHeaders | flag.endStream);

describe('patience of HTTP/2', () => {
  it('with a peer that sends no SETTINGS: ten seconds, and a second to read why', async () => {
    const served = new Served();
    await served.sends(preface);
    await served.passes(patience - 1);
    assert.ok(served.goesOn);
    await served.passes(1);
    assert.deepEqual(served.goaways, [[0, errorCode.enhanceYourCalm]]);
    assert.ok(served.bytes.ended && !served.bytes.destroyed);
    await served.passes(lastWords);
    assert.ok(served.bytes.destroyed && served.closed);
    assert.equal(served.clock.timers, 0);
  });

  it('with a header block in drops: ten seconds from its first frame, however often CONTINUATION comes', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get, 0));
    for (let second = 1; second < 10; second++) {
      await served.passes(1_000);
      await served.sends(frame(frameType.continuation, 0, 1, headerBlock([['x', 'y']]).subarray(1)));
    }
    await served.passes(999);
    assert.ok(served.goesOn);
    assert.equal(served.begun, 1);
    await served.passes(1);
    assert.deepEqual(served.goaways, [[0, errorCode.enhanceYourCalm]]);
    assert.equal(served.exchanges.length, 0);
  });

  it('with a slow header block that ends in time has no say afterwards', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get, flag.endStream));
    await served.passes(patience - 1);
    await served.sends(frame(frameType.continuation, flag.endHeaders, 1));
    assert.equal(served.exchanges.length, 1);
    await served.passes(10 * patience);
    assert.ok(served.goesOn);
    assert.equal(served.clock.timers, 0);
  });

  it('with the answer of a server in drops: the same', async () => {
    const asking = await Asking.open();
    asking.ask();
    await asking.sends(headersFrame(1, [[':status', '200']], 0));
    await asking.passes(patience);
    assert.equal(asking.goaways.at(-1)?.[1], errorCode.enhanceYourCalm);
    assert.equal(asking.answers[0]!.why?.kind, 'reset');
  });

  it('with CONTINUATION: no more frames of one block than 128, nor bytes than twice a head may have', async () => {
    const many = await Served.open();
    await many.sends(frame(frameType.headers, 0, 1));
    for (let n = 0; n < 128 && many.goesOn; n++) await many.sends(frame(frameType.continuation, 0, 1, Buffer.of(0)));
    assert.ok(many.goesOn);
    await many.sends(frame(frameType.continuation, 0, 1, Buffer.of(0)));
    assert.deepEqual(many.goaways, [[0, errorCode.enhanceYourCalm]]);

    const long = await Served.open();
    await long.sends(frame(frameType.headers, 0, 1));
    let bytes = 0;
    for (; long.goesOn; bytes += maxFrame)
      await long.sends(frame(frameType.continuation, 0, 1, Buffer.alloc(maxFrame)));
    assert.ok(bytes > 2 * settings.bytes && bytes <= 2 * settings.bytes + maxFrame, `${bytes} bytes`);
  });
});

describe('slow bodies by HTTP/2', () => {
  it('hold up nothing else of their connection, and are given no window before they are read', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get));
    served.exchanges[0]!.pause();
    for (let n = 0; n < 65_535; n += 257) {
      await served.passes(10);
      await served.sends(data(1, Buffer.alloc(257)));
    }
    await served.sends(whole(3));
    assert.equal(served.exchanges.length, 2);
    assert.equal(served.reads[0]!.bytes, 0);
    assert.deepEqual(served.sent(frameType.windowUpdate, 1), []);
    await served.sends(data(1, Buffer.of(0)));
    assert.deepEqual(
      served.sent(frameType.rstStream, 1).map((f) => f.payload.readUInt32BE(0)),
      [errorCode.flowControl],
    );
    served.exchanges[1]!.respond({ status: 200, headers: [] }, true);
    await served.bytes.turn();
    assert.equal(served.sent(frameType.headers, 3).length, 1);
    assert.ok(served.goesOn);
  });

  it('get their window back as they are read', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get));
    for (let n = 0; n < 40; n++) await served.sends(data(1, Buffer.alloc(maxFrame)));
    assert.equal(served.reads[0]!.bytes, 40 * maxFrame);
    assert.ok(served.goesOn);
  });
});

describe('windows of HTTP/2', () => {
  it('that SETTINGS_INITIAL_WINDOW_SIZE made negative let nothing out before they are positive again', async () => {
    const served = await Served.open();
    await served.sends(whole(1));
    const [exchange] = served.exchanges;
    exchange!.respond({ status: 200, headers: [] }, false);
    exchange!.write(Buffer.alloc(60_000));
    exchange!.write(Buffer.alloc(20_000));
    await served.bytes.turn();
    assert.equal(served.sentData(1), 65_535);
    // The stream's window is now 1,000 - 65,535; the connection's has room.
    await served.sends(settingsFrame([[setting.initialWindowSize, 1_000]]), windowUpdate(0, 1_000_000));
    await served.sends(windowUpdate(1, 64_535));
    assert.equal(served.sentData(1), 65_535);
    await served.sends(windowUpdate(1, 1));
    assert.equal(served.sentData(1), 65_536);
    await served.sends(settingsFrame([[setting.initialWindowSize, 1_100]]));
    assert.equal(served.sentData(1), 65_636);
    exchange!.end();
    await served.sends(windowUpdate(1, 100_000));
    assert.equal(served.sentData(1), 80_000);
    assert.equal(served.sent(frameType.data, 1).at(-1)!.flags & flag.endStream, flag.endStream);
    assert.ok(served.goesOn);
  });

  it('are kept, whatever order of SETTINGS, WINDOW_UPDATE and writes', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('initial' as const), value: fc.nat({ max: 100_000 }) }),
      fc.record({ kind: fc.constant('stream' as const), value: fc.integer({ min: 1, max: 50_000 }) }),
      fc.record({ kind: fc.constant('connection' as const), value: fc.integer({ min: 1, max: 50_000 }) }),
      fc.record({ kind: fc.constant('write' as const), value: fc.integer({ min: 1, max: 40_000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const served = await Served.open();
        await served.sends(whole(1));
        served.exchanges[0]!.respond({ status: 200, headers: [] }, false);
        let [initial, stream, connection, written, expected] = [65_535, 65_535, 65_535, 0, 0];
        for (const { kind, value } of steps) {
          if (kind === 'write') {
            served.exchanges[0]!.write(Buffer.alloc(value));
            written += value;
            await served.bytes.turn();
          } else if (kind === 'initial') {
            stream += value - initial;
            initial = value;
            await served.sends(settingsFrame([[setting.initialWindowSize, value]]));
          } else {
            if (kind === 'stream') stream += value;
            else connection += value;
            await served.sends(windowUpdate(kind === 'stream' ? 1 : 0, value));
          }
          const now = Math.max(0, Math.min(written - expected, stream, connection));
          [expected, stream, connection] = [expected + now, stream - now, connection - now];
          assert.equal(served.sentData(1), expected);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('beyond 2^31-1 end a stream by WINDOW_UPDATE, and the connection by SETTINGS', async () => {
    const served = await Served.open({}, maxWindow);
    await served.sends(whole(1), whole(3), windowUpdate(1, 1));
    assert.equal(served.sent(frameType.rstStream, 1)[0]!.payload.readUInt32BE(0), errorCode.flowControl);
    assert.ok(served.goesOn);

    const other = await Served.open({}, 10);
    await other.sends(whole(1), windowUpdate(1, maxWindow - 10));
    assert.ok(other.goesOn);
    await other.sends(settingsFrame([[setting.initialWindowSize, 11]]));
    assert.deepEqual(other.goaways, [[1, errorCode.flowControl]]);
  });

  it('of ours that we made small count from their acknowledgement on', async () => {
    // So much unread that later windows are made small: 65,536 of 200,000.
    const served = await Served.open({ streamWindow: 200_000, connectionWindow: 100_000 });
    await served.sends(headersFrame(1, get), headersFrame(3, get));
    for (const exchange of served.exchanges) exchange.pause();
    for (let n = 0; n < 7; n++) await served.sends(data(1, Buffer.alloc(16_000)));
    const small = served.sent(frameType.settings).at(-1)!;
    assert.equal(small.payload.readUInt32BE(2), 65_536);
    // What was under way when the peer read it is no offence.
    await served.sends(data(1, Buffer.alloc(16_000)), settingsAck);
    assert.deepEqual(served.sent(frameType.rstStream), []);
    // The window is below zero now: more is one.
    await served.sends(data(1, Buffer.of(0)));
    assert.equal(served.sent(frameType.rstStream, 1)[0]!.payload.readUInt32BE(0), errorCode.flowControl);
    await served.sends(data(3, Buffer.alloc(16_000)));
    assert.deepEqual(served.sent(frameType.rstStream, 3), []);
    assert.ok(served.goesOn);
  });
});

describe('a drain by HTTP/2', () => {
  const answered = (served: Served) => served.sent(frameType.ping).find((f) => (f.flags & flag.ack) === 0)!;

  it('says GOAWAY with 2^31-1 first, takes what is on its way, then names the last', async () => {
    const served = await Served.open();
    await served.sends(whole(1));
    served.server.drain();
    await served.bytes.turn();
    assert.deepEqual(served.goaways, [[maxWindow, 0]]);
    await served.sends(whole(3));
    assert.equal(served.exchanges.length, 2);
    await served.sends(frame(frameType.ping, flag.ack, 0, answered(served).payload), whole(5));
    assert.deepEqual(served.goaways.slice(1), [[3, 0]]);
    assert.equal(served.exchanges.length, 2);
    assert.ok(!served.bytes.ended);
    for (const exchange of served.exchanges) exchange.respond({ status: 200, headers: [] }, true);
    await served.bytes.turn();
    assert.deepEqual(
      [1, 3, 5].map((s) => served.sent(frameType.headers, s).length),
      [1, 1, 0],
    );
    assert.equal(served.endings, 1);
    assert.equal(served.clock.timers, 0);
  });

  it('waits ten seconds for the PING between the two, and no other answer will do', async () => {
    const served = await Served.open();
    served.server.drain();
    await served.bytes.turn();
    await served.sends(frame(frameType.ping, flag.ack, 0, Buffer.alloc(8, 7)));
    await served.passes(patience - 1);
    await served.sends(whole(1));
    assert.deepEqual(served.goaways, [[maxWindow, 0]]);
    await served.passes(1);
    assert.deepEqual(served.goaways.slice(1), [[1, 0]]);
    assert.ok(!served.bytes.ended);
    served.exchanges[0]!.respond({ status: 200, headers: [] }, true);
    await served.bytes.turn();
    assert.ok(served.bytes.ended);
  });

  it('of a server lets our requests go on by the first GOAWAY, and refuses those beyond the last by the second', async () => {
    const asking = await Asking.open();
    for (let n = 0; n < 3; n++) asking.ask();
    await asking.sends(goaway(maxWindow, 0));
    assert.ok(asking.draining);
    assert.deepEqual(
      asking.answers.map((a) => a.why),
      [undefined, undefined, undefined],
    );
    await asking.sends(goaway(3, 0));
    assert.deepEqual(
      asking.answers.map((a) => a.why?.kind),
      [undefined, undefined, 'refused'],
    );
    await asking.sends(ok(1));
    assert.ok(!asking.bytes.ended);
    await asking.sends(ok(3));
    assert.deepEqual(
      asking.answers.map((a) => a.head?.status),
      [200, 200, undefined],
    );
    assert.ok(asking.bytes.ended);
  });
});

describe('floods of HTTP/2', () => {
  const floods = {
    PING: ping,
    'empty DATA': data(1, Buffer.alloc(0)),
    'DATA of padding': data(1, Buffer.of(0), flag.padded),
    SETTINGS: settingsFrame(),
    PRIORITY: frame(frameType.priority, 0, 1, Buffer.alloc(5)),
    'frames of unknown types': frame(0xfa, 0, 0),
  };

  for (const [what, one] of Object.entries(floods)) {
    it(`${what}: a thousand at once, 200 a second for ever, and one more ends the connection`, async () => {
      const served = await Served.open();
      await served.sends(headersFrame(1, get));
      // Time for what the handshake cost.
      await served.passes(1_000);
      const some = (count: number) => served.sends(...Array.from({ length: count }, () => one));
      await some(NuisanceBudget.stock);
      for (let second = 0; second < 30; second++) {
        await served.passes(1_000);
        await some(NuisanceBudget.perSecond);
      }
      assert.ok(served.goesOn);
      await some(1);
      assert.deepEqual(served.goaways, [[1, errorCode.enhanceYourCalm]]);
      assert.equal(served.reads[0]!.bytes, 0);
    });
  }

  it('in one frame of SETTINGS end the connection before they are read', async () => {
    const served = await Served.open();
    const entry = [0x99, 1] as const;
    await served.sends(settingsFrame(Array.from({ length: mostSettings }, () => entry)));
    assert.ok(served.goesOn);
    await served.sends(settingsFrame(Array.from({ length: mostSettings + 1 }, () => entry)));
    assert.deepEqual(served.goaways, [[0, errorCode.enhanceYourCalm]]);
  });

  it('beside DATA that brings something are no floods', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get));
    for (let n = 0; n < 5 * NuisanceBudget.stock; n++) await served.sends(data(1, Buffer.alloc(10)), ping);
    assert.ok(served.goesOn);
  });

  it('of questions whose answers the peer does not read end the connection before a MiB waits', async () => {
    const served = await Served.open();
    served.bytes.deaf = true;
    // As many as the budget lets pass, for as long as it takes.
    let seconds = 0;
    for (; served.goesOn && seconds < 1_000; seconds++) {
      await served.passes(1_000);
      await served.sends(...Array.from({ length: NuisanceBudget.perSecond }, () => ping));
    }
    assert.equal(served.goaways[0]?.[1], errorCode.enhanceYourCalm);
    assert.ok(seconds * NuisanceBudget.perSecond * 17 < 1_048_576);
    assert.ok(served.bytes.destroyed);
  });
});

describe('a client that has much for us at once', () => {
  const ids = Array.from({ length: 100 }, (_, n) => 2 * n + 1);

  /** How many requests began in each turn, the first of them within the call. */
  async function beginnings(served: Served, from: readonly number[]): Promise<readonly number[]> {
    const counts: number[] = [];
    const before = served.exchanges.length;
    const all = served.sends(...from.map(whole));
    for (let last = before; ; ) {
      counts.push(served.exchanges.length - last);
      last = served.exchanges.length;
      if (last === before + from.length) break;
      await served.bytes.turn();
    }
    await all;
    assert.ok(served.goesOn);
    return counts;
  }

  it('leaves others their turn: its requests begin one at a time, but for the first', async () => {
    const [first, ...others] = await beginnings(await Served.open(), ids);
    assert.equal(first, firstTrust);
    // A turn of the test's is up to two of the loop's.
    assert.ok(Math.max(...others) <= 2, `${others}`);
  });

  it('begins a few requests at a time as far as others were answered', async () => {
    const served = await Served.open({ streams: 300 });
    await served.sends(...ids.map(whole));
    while (served.exchanges.length < ids.length) await served.bytes.turn();
    for (const exchange of served.exchanges) exchange.respond({ status: 200, headers: [] }, true);
    const counts = await beginnings(
      served,
      ids.map((id) => id + 2 * ids.length),
    );
    assert.ok(counts[0]! > firstTrust, `${counts}`);
    assert.ok(Math.max(...counts) <= 2 * begunAtOnce, `${counts}`);
    const fast = counts.filter((count) => count > 2);
    assert.ok(Math.abs(fast.reduce((sum, count) => sum + count, 0) - mostTrust) <= begunAtOnce, `${counts}`);
  });

  it('has whole what it sent of a request before its turn, and nothing of one that it reset', async () => {
    const served = await Served.open();
    const kept = ids.slice(50);
    await served.sends(
      ...ids.map((id) => headersFrame(id, get)),
      ...ids.flatMap((id) => [data(id, Buffer.alloc(100)), data(id, Buffer.alloc(50), flag.endStream)]),
      ...ids.slice(firstTrust, 50).map((id) => rstStream(id, errorCode.cancel)),
    );
    while (served.exchanges.length < firstTrust + kept.length) await served.bytes.turn();
    await served.bytes.turn();
    assert.equal(served.exchanges.length, firstTrust + kept.length);
    assert.deepEqual(new Set(served.reads.map(({ bytes, ended }) => `${bytes} ${ended}`)), new Set(['150 true']));
  });

  it('leaves others their turn where its frames alone are many, and its end comes behind them', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get));
    const drops = Array.from({ length: 3 * turnWork }, () => data(1, Buffer.of(1)));
    const all = served.sends(...drops);
    assert.ok(served.reads[0]!.bytes <= turnWork);
    assert.ok(served.bytes.paused);
    served.bytes.ends();
    await all;
    assert.equal(served.reads[0]!.bytes, drops.length);
    assert.ok(served.bytes.destroyed);
  });

  it('is read on where it came in the middle of a turn of others', async () => {
    const served = await Served.open();
    await served.sends(headersFrame(1, get));
    const drops = Array.from({ length: 2 * turnWork }, () => data(1, Buffer.of(1)));
    await Promise.all([served.sends(...drops), served.sends(data(1, Buffer.of(1), flag.endStream))]);
    assert.equal(served.reads[0]!.bytes, drops.length + 1);
    assert.ok(served.reads[0]!.ended && served.goesOn);
  });

  it('goes a few requests at a time, too, and is told last', async () => {
    const served = await Served.open();
    await served.sends(...ids.map((id) => headersFrame(id, get)));
    while (served.exchanges.length < ids.length) await served.bytes.turn();
    const broken = () => served.reads.filter(({ why }) => why !== undefined).length;
    served.bytes.destroy();
    assert.equal(broken(), lostAtOnce);
    assert.ok(!served.closed);
    for (let last = lostAtOnce; !served.closed; last = broken()) {
      await served.bytes.turn();
      assert.ok(broken() - last <= 2 * lostAtOnce);
    }
    assert.equal(broken(), ids.length);
  });

  it('and refuses to learn how long a head may be is cut off', async () => {
    const served = await Served.open();
    const large = (id: number) => [
      headersFrame(id, get, flag.endStream),
      ...[0, 1, 2, 3, 4].map((n) =>
        frame(
          frameType.continuation,
          n === 4 ? flag.endHeaders : 0,
          id,
          headerBlock([['x', 'y'.repeat(15_000)]]).subarray(1),
        ),
      ),
    ];
    for (const id of ids.slice(0, 20)) await served.sends(...large(id));
    assert.ok(served.goesOn);
    assert.equal(served.sent(frameType.rstStream).length, 20);
    for (const id of ids.slice(20)) await served.sends(...large(id));
    assert.deepEqual(
      served.goaways.map(([, code]) => code),
      [errorCode.enhanceYourCalm],
    );
    assert.equal(served.exchanges.length, 0);
  });
});

const stream = fc.oneof(fc.constantFrom(0, 1, 2, 3, 5), fc.nat({ max: maxWindow }));
const block = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)),
  fc.constantFrom(headerBlock(get), headerBlock([[':status', '200']]), headerBlock([['grpc-status', '0']])),
);
const payload = fc.oneof(
  block,
  fc.nat({ max: 0xffffffff }).map(uint32),
  fc.constantFrom(Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(8), Buffer.alloc(6)),
  fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 0xffffffff })).map((entry) => settingsFrame([entry]).subarray(9)),
);
const anyFrame = fc
  .tuple(fc.nat({ max: 10 }), fc.constantFrom(0, 1, 4, 5, 8, 13, 32, 37, 255), stream, payload)
  .map(([type, flags, id, bytes]) => frame(type, flags, id, bytes));
const anyBytes = fc.array(fc.oneof({ weight: 6, arbitrary: anyFrame }, fc.uint8Array({ maxLength: 30 })), {
  maxLength: 12,
});

/** Ended with a reason, or open and with streams as bounded as ever. */
function accountable(wire: Wire): void {
  const { bytes, goaways } = wire;
  assert.ok(goaways.length <= 1);
  assert.equal(bytes.ended || bytes.destroyed, goaways.length === 1);
}

describe('any bytes', () => {
  it('to our server end in exchanges, or in a GOAWAY that says why, and throw nothing', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, fc.boolean(), async (parts, together) => {
        const served = await Served.open();
        if (together) await served.sends(...parts);
        else for (const part of parts) await served.sends(part);
        accountable(served);
        for (const exchange of served.exchanges) exchange.respond({ status: 200, headers: ['a', 'b'] }, true);
        await served.passes(patience + lastWords);
        served.bytes.destroy();
        assert.ok(served.closed);
        assert.equal(served.clock.timers, 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('to our client end in answers, or in a GOAWAY that says why, and throw nothing', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, async (parts) => {
        const asking = await Asking.open();
        const requests = [asking.ask(), asking.ask()];
        await asking.sends(...parts);
        await asking.passes(patience + lastWords);
        for (const request of requests) request.reset('cancel');
        asking.bytes.destroy();
        assert.ok(asking.closed);
      }),
      { numRuns: 1_000 },
    );
  });

  it('before the preface is whole are compared with it byte by byte', async () => {
    const served = new Served();
    for (const byte of preface) await served.sends(Buffer.of(byte));
    await served.sends(settingsFrame());
    assert.ok(served.goesOn);
    const wrong = new Served();
    await wrong.sends(preface.subarray(0, 10), Buffer.from('x'));
    assert.deepEqual(wrong.goaways, [[0, errorCode.protocol]]);
  });
});

describe('resets by a client', () => {
  it('end the connection after 500 requests of which most were reset unanswered at once, and do not where they came after a second', async () => {
    const ids = Array.from({ length: 600 }, (_, n) => 2 * n + 1);
    const slow = await Served.open({ streams: ids.length });
    await slow.sends(...ids.map(whole));
    await slow.passes(1_000);
    await slow.sends(...ids.map((id) => rstStream(id, errorCode.cancel)));
    assert.ok(slow.goesOn);
    const fast = await Served.open();
    await fast.sends(...ids.flatMap((id) => [whole(id), rstStream(id, errorCode.cancel)]));
    assert.deepEqual(fast.goaways, [[ids[500], errorCode.enhanceYourCalm]]);
    // Most were reset before their turn came.
    assert.ok(fast.exchanges.length < ids.length / 4, `${fast.exchanges.length} began`);
  });
});
