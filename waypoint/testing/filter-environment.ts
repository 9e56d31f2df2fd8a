/** A filter's environment for tests: a caller that answers as the test says, and remembers who was asked. */
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import type {
  Caller,
  GrpcAnswer,
  GrpcCall,
  GrpcStream,
  GrpcStreamCall,
  GrpcStreamEvents,
  HttpAnswer,
  HttpCall,
} from '../filters/caller.ts';
import type { FilterEnvironment } from '../filters/filter.ts';
import { noScripts } from '../filters/script/host.ts';
import { Stats } from '../telemetry/stats.ts';

interface Asked<Call, Answer> {
  readonly call: Call;
  readonly answer: (answer: Answer) => void;
  cancelled: boolean;
}

export class FakeCaller implements Caller {
  readonly httpCalls: Asked<HttpCall, HttpAnswer>[] = [];
  readonly grpcCalls: Asked<GrpcCall, GrpcAnswer>[] = [];
  readonly streams: { call: GrpcStreamCall; events: GrpcStreamEvents; sent: Buffer[]; isClosed: boolean }[] = [];

  http(call: HttpCall, done: (answer: HttpAnswer) => void): () => void {
    return asked(this.httpCalls, call, done);
  }

  grpc(call: GrpcCall, done: (answer: GrpcAnswer) => void): () => void {
    return asked(this.grpcCalls, call, done);
  }

  stream(call: GrpcStreamCall, events: GrpcStreamEvents): GrpcStream {
    const one = { call, events, sent: [] as Buffer[], isClosed: false };
    this.streams.push(one);
    return {
      send: (message) => one.sent.push(message),
      close: () => {
        one.isClosed = true;
      },
    };
  }
}

function asked<C, A>(all: Asked<C, A>[], call: C, done: (answer: A) => void): () => void {
  const one: Asked<C, A> = { call, answer: done, cancelled: false };
  all.push(one);
  return () => {
    one.cancelled = true;
  };
}

export function filterEnvironment(caller: Caller = new FakeCaller()): FilterEnvironment {
  const stats = new Stats();
  const counter = (name: string) => stats.counter(name);
  return { caller, clock: systemClock, log: silentLogger, counter, scripts: noScripts };
}
