/** What one request comes to in Istio's metrics: counts on the way what only its bytes tell. */
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { FormatContext } from '../../format/format.ts';
import type { HeaderList } from '../../http/message.ts';
import { GrpcMessages } from '../grpc-messages.ts';
import type { IstioMeter } from './meter.ts';

interface Grpc {
  readonly request: GrpcMessages;
  readonly response: GrpcMessages;
  /** How many were told. */
  readonly told: { request: number; response: number };
}

export class RequestMeter {
  readonly #meters: readonly IstioMeter[];
  readonly #grpc: Grpc | undefined;
  #timer: Timer | undefined;

  /** `context`: what is known whenever it is asked. */
  constructor(meters: readonly IstioMeter[], isGrpc: boolean, clock: Clock, context: () => FormatContext) {
    this.#meters = meters;
    if (!isGrpc) return;
    this.#grpc = { request: new GrpcMessages(), response: new GrpcMessages(), told: { request: 0, response: 0 } };
    const report = () => {
      this.#tell(context());
      this.#timer = clock.after(meters[0]!.config.interval, report);
    };
    this.#timer = clock.after(meters[0]!.config.interval, report);
  }

  received(chunk: Buffer): void {
    this.#grpc?.request.feed(chunk);
  }

  sent(chunk: Buffer): void {
    this.#grpc?.response.feed(chunk);
  }

  ended(context: FormatContext, duration: number): void {
    this.#timer?.cancel();
    if (this.#grpc) this.#tell(context);
    for (const meter of this.#meters) meter.request(context, duration, this.#grpc !== undefined);
  }

  #tell(context: FormatContext): void {
    const { request, response, told } = this.#grpc!;
    const since = { request: request.count - told.request, response: response.count - told.response };
    for (const meter of this.#meters) meter.messages(context, since);
    told.request = request.count;
    told.response = response.count;
  }
}

/** Bytes of a head as HTTP/1.1 writes it: `name: value` and the ends of lines, after a first line of so many. */
export function headBytes(fields: HeaderList, firstLine: number): number {
  let bytes = firstLine + 4;
  for (let i = 0; i < fields.length; i += 2) bytes += fields[i]!.length + fields[i + 1]!.length + 4;
  return bytes;
}
