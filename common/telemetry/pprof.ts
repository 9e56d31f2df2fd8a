/** V8's profiles of some threads or processes as one profile of pprof's (github.com/google/pprof, proto/profile.proto), gzipped. Pure. */
import { gzipSync } from 'node:zlib';
import protobuf from 'protobufjs';

/** V8's `Profiler.Profile`, as far as it is read; times in us. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
  }[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples?: readonly number[];
  readonly timeDeltas?: readonly number[];
}

/** V8's `HeapProfiler.SamplingHeapProfile`, as far as it is read; sizes in bytes. */
export interface HeapProfile {
  readonly head: HeapNode;
  readonly samples: readonly { readonly nodeId: number }[];
}

interface HeapNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0. */
  readonly lineNumber: number;
}

const messages = protobuf.parse(`
syntax = "proto3";
message Profile {
  repeated ValueType sample_type = 1; repeated Sample sample = 2; repeated Location location = 4;
  repeated Function function = 5; repeated string string_table = 6; int64 time_nanos = 9; int64 duration_nanos = 10;
  ValueType period_type = 11; int64 period = 12;
}
message ValueType { int64 type = 1; int64 unit = 2; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; repeated Label label = 3; }
message Label { int64 key = 1; int64 num = 3; }
message Location { uint64 id = 1; repeated Line line = 4; }
message Line { uint64 function_id = 1; int64 line = 2; }
message Function { uint64 id = 1; int64 name = 2; int64 system_name = 3; int64 filename = 4; int64 start_line = 5; }
`).root;

export const profileType: protobuf.Type = messages.lookupType('Profile');

interface Sample {
  /** The innermost first. */
  readonly stack: readonly CallFrame[];
  readonly values: readonly number[];
  /** Which of the workers. */
  readonly worker: number;
}

/** Samples and CPU time by stack; time without anything to do is left out. `wallMs` is when it began, since 1970. */
export function cpuPprof(profiles: readonly CpuProfile[], wallMs: number): Buffer {
  const samples = profiles.flatMap(cpuSamples);
  const us = Math.max(0, ...profiles.map((p) => p.endTime - p.startTime));
  const count = profiles.reduce((n, p) => n + (p.samples?.length ?? 0), 0);
  const total = profiles.reduce((sum, p) => sum + (p.endTime - p.startTime), 0);
  return encode(
    samples,
    [
      ['samples', 'count'],
      ['cpu', 'nanoseconds'],
    ],
    { wallMs, durationNs: us * 1000, period: ['cpu', 'nanoseconds'], every: count === 0 ? 0 : (total * 1000) / count },
  );
}

/** Objects and bytes that are in use, as far as they were sampled. */
export function heapPprof(profiles: readonly HeapProfile[], wallMs: number): Buffer {
  return encode(
    profiles.flatMap(heapSamples),
    [
      ['inuse_objects', 'count'],
      ['inuse_space', 'bytes'],
    ],
    { wallMs, durationNs: 0, period: ['space', 'bytes'], every: 524_288 },
  );
}

function cpuSamples(profile: CpuProfile, worker: number): Sample[] {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const spent = new Map<number, { count: number; us: number }>();
  profile.samples?.forEach((id, i) => {
    const sum = spent.get(id) ?? { count: 0, us: 0 };
    sum.count++;
    // The time from this sample to the next.
    sum.us += Math.max(0, profile.timeDeltas?.[i + 1] ?? 0);
    spent.set(id, sum);
  });
  return [...spent].flatMap(([id, { count, us }]) => {
    if (nodes.get(id)?.callFrame.functionName === '(idle)') return [];
    const stack: CallFrame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame;
      if (frame && frame.functionName !== '(root)') stack.push(frame);
    }
    return [{ stack, values: [count, us * 1000], worker }];
  });
}

function heapSamples(profile: HeapProfile, worker: number): Sample[] {
  const counts = new Map<number, number>();
  for (const { nodeId } of profile.samples) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  const samples: Sample[] = [];
  const walk = (node: HeapNode, above: readonly CallFrame[]) => {
    const stack = node.callFrame.functionName === '(root)' ? above : [node.callFrame, ...above];
    if (node.selfSize > 0) samples.push({ stack, values: [counts.get(node.id) ?? 0, node.selfSize], worker });
    for (const child of node.children) walk(child, stack);
  };
  walk(profile.head, []);
  return samples;
}

interface Frame {
  readonly wallMs: number;
  readonly durationNs: number;
  readonly period: readonly [type: string, unit: string];
  readonly every: number;
}

function encode(samples: readonly Sample[], types: readonly (readonly [string, string])[], frame: Frame): Buffer {
  const strings = new Numbering<string>((text) => text);
  strings.of('');
  const functions = new Numbering<CallFrame>((f) => `${f.functionName}\0${f.url}\0${f.lineNumber}`);
  const named = ([type, unit]: readonly [string, string]) => ({ type: strings.of(type), unit: strings.of(unit) });
  const profile = {
    sampleType: types.map(named),
    // A function is one location: V8 tells where functions begin, not which line of them ran.
    sample: samples.map(({ stack, values, worker }) => ({
      locationId: stack.map((f) => functions.of(f) + 1),
      value: values.map(Math.round),
      label: [{ key: strings.of('worker'), num: worker }],
    })),
    location: functions.all.map((f, i) => ({ id: i + 1, line: [{ functionId: i + 1, line: f.lineNumber + 1 }] })),
    function: functions.all.map((f, i) => {
      const name = strings.of(f.functionName === '' ? '(anonymous)' : f.functionName);
      return { id: i + 1, name, systemName: name, filename: strings.of(f.url), startLine: f.lineNumber + 1 };
    }),
    timeNanos: frame.wallMs * 1_000_000,
    durationNanos: Math.round(frame.durationNs),
    periodType: named(frame.period),
    period: Math.round(frame.every),
    stringTable: strings.all,
  };
  return gzipSync(profileType.encode(profileType.fromObject(profile)).finish());
}

/** Numbers things in the order they are met; equal ones have the same number. */
class Numbering<T> {
  readonly all: T[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #key: (thing: T) => string;

  constructor(key: (thing: T) => string) {
    this.#key = key;
  }

  of(thing: T): number {
    const key = this.#key(thing);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.all.length;
      this.#numbers.set(key, number);
      this.all.push(thing);
    }
    return number;
  }
}
