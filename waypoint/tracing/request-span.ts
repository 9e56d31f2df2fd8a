/** One request in its trace, from the headers that it came with to what is told of it at its end. */
import type { Dice } from '../cluster/types.ts';
import type { FormatContext } from '../format/format.ts';
import type { Headers } from '../request/headers.ts';
import type { RequestView } from '../request/view.ts';
import type { TracingConfig } from './config.ts';
import type { SpanContext } from './context.ts';
import { decideTrace, type TraceReason } from './sampling.ts';
import type { SpanTag } from './span.ts';
import { standardTags } from './standard-tags.ts';
import type { Tracer } from './tracer.ts';

/** What a route calls what is done by it (envoy.config.route.v3.Decorator). */
export interface Decorator {
  readonly operation: string;
  /** Neighbours are told by `x-envoy-decorator-operation`. */
  readonly propagates: boolean;
}

const operationHeader = 'x-envoy-decorator-operation';

export class RequestSpan {
  readonly reason: TraceReason;
  readonly #config: TracingConfig;
  readonly #tracer: Tracer | undefined;
  readonly #context: SpanContext | undefined;
  #name: string;
  /** For the caller. */
  #told: string | undefined;

  /** Reads and changes the headers of the request as the tracer does before filters see it. */
  constructor(config: TracingConfig, view: RequestView, decorator: Decorator | undefined, dice: Dice) {
    const { sampling, tracer, operation } = config;
    const { headers } = view;
    this.#config = config;
    this.#tracer = tracer;
    this.reason = decideTrace({ headers, sampling, dice });
    const decided = this.reason !== 'none';
    const extracted = tracer?.propagation.extract(headers, decided);
    if (tracer && extracted?.kind === 'found') this.#context = tracer.propagation.begin(extracted.of, decided);
    else if (tracer && extracted?.kind === 'none') {
      this.#context = tracer.propagation.begin(undefined, extracted.sampled);
    }
    this.#name = decorator?.operation ?? tracer?.name(view, nameOf(operation, view)) ?? '';
    this.#told = decorator?.propagates ? decorator.operation : undefined;
    this.#readOperation(headers);
  }

  /** Who calls may say what the request is for; who is called is told. */
  #readOperation(headers: Headers): void {
    if (this.#config.operation === 'egress') {
      if (this.#told !== undefined) headers.set(operationHeader, this.#told);
      return;
    }
    const said = headers.first(operationHeader);
    if (said === undefined) return;
    if (said !== '') {
      this.#name = said;
      this.#told = undefined;
    }
    headers.remove(operationHeader);
  }

  /** Of requests as they go on. */
  inject(headers: Headers): void {
    if (this.#context && this.#config.propagates) this.#tracer!.propagation.inject(headers, this.#context);
  }

  /** Of answers as they go back. */
  answer(headers: Headers): void {
    if (this.#config.operation === 'ingress') {
      if (this.#told !== undefined) headers.set(operationHeader, this.#told);
      return;
    }
    const said = headers.first(operationHeader);
    if (said) this.#name = said;
    headers.remove(operationHeader);
  }

  /** For logs; empty where there is none. */
  get ids(): { readonly traceId: string; readonly spanId: string } {
    return { traceId: this.#context?.traceId ?? '', spanId: this.#context?.spanId ?? '' };
  }

  /** Whether `finish` tells anything. */
  get isTold(): boolean {
    return this.#context?.sampled === true;
  }

  /** `duration` in ms. */
  finish(context: FormatContext, duration: number): void {
    const { longestPath, node, operation, tags: custom } = this.#config;
    const { tags, isError } = standardTags(context, node, longestPath);
    const all = new Map<string, SpanTag>(tags.map((tag) => [tag.name, tag]));
    for (const { name, value } of custom) {
      const text = value(context);
      if (text !== '') all.set(name, { name, value: text });
    }
    this.#tracer!.report({
      context: this.#context!,
      name: this.#name,
      kind: operation === 'egress' ? 'client' : 'server',
      start: context.facts.startTime,
      duration,
      tags: [...all.values()],
      isError,
    });
  }
}

function nameOf(operation: TracingConfig['operation'], { authority }: RequestView): string {
  return operation === 'egress' ? `egress ${authority}` : operation;
}
