import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { systemClock } from '../core/clock.ts';
import { type CpuProfile, cpuPprof, type HeapProfile, heapPprof, profileType } from './pprof.ts';
import { Profiler } from './profiler.ts';

interface Decoded {
  readonly sampleType: { readonly type: number; readonly unit: number }[];
  readonly sample: { readonly locationId: number[]; readonly value: number[]; readonly label: { num: number }[] }[];
  readonly location: { readonly id: number; readonly line: { readonly functionId: number }[] }[];
  readonly function: { readonly id: number; readonly name: number; readonly filename: number }[];
  readonly stringTable: string[];
  readonly durationNanos: number;
}

function decode(bytes: Buffer): Decoded {
  return profileType.toObject(profileType.decode(gunzipSync(bytes)), { longs: Number, defaults: true }) as Decoded;
}

/** Stacks as text, the innermost first, with what was measured. */
function readable(bytes: Buffer): [string, number[]][] {
  const p = decode(bytes);
  const name = (location: number) => {
    const { functionId } = p.location.find((l) => l.id === location)!.line[0]!;
    return p.stringTable[p.function.find((f) => f.id === functionId)!.name]!;
  };
  return p.sample.map((s) => [s.locationId.map(name).join(' < '), [...s.value, s.label[0]!.num]]);
}

const frame = (functionName: string, lineNumber = 0) => ({ functionName, url: 'file:///x.ts', lineNumber });

test('samples of CPU time become stacks; idle time is left out, workers are told apart', () => {
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: frame('(root)'), children: [2, 4] },
      { id: 2, callFrame: frame('outer'), children: [3] },
      { id: 3, callFrame: frame('', 7) },
      { id: 4, callFrame: frame('(idle)') },
    ],
    startTime: 1_000,
    endTime: 5_000,
    samples: [2, 3, 3, 4],
    timeDeltas: [0, 1_000, 500, 500],
  };
  const bytes = cpuPprof([profile, profile], 0);
  assert.deepEqual(readable(bytes), [
    ['outer', [1, 1_000_000, 0]],
    ['(anonymous) < outer', [2, 1_000_000, 0]],
    ['outer', [1, 1_000_000, 1]],
    ['(anonymous) < outer', [2, 1_000_000, 1]],
  ]);
  const { sampleType, stringTable, durationNanos } = decode(bytes);
  assert.equal(stringTable[0], '');
  assert.deepEqual(
    sampleType.map((t) => `${stringTable[t.type]}/${stringTable[t.unit]}`),
    ['samples/count', 'cpu/nanoseconds'],
  );
  assert.equal(durationNanos, 4_000_000);
});

test('sampled allocations become bytes by stack', () => {
  const profile: HeapProfile = {
    head: {
      id: 1,
      callFrame: frame('(root)'),
      selfSize: 0,
      children: [
        {
          id: 2,
          callFrame: frame('a'),
          selfSize: 100,
          children: [{ id: 3, callFrame: frame('b'), selfSize: 50, children: [] }],
        },
      ],
    },
    samples: [{ nodeId: 2 }, { nodeId: 2 }, { nodeId: 3 }],
  };
  assert.deepEqual(readable(heapPprof([profile], 0)), [
    ['a', [2, 100, 0]],
    ['b < a', [1, 50, 0]],
  ]);
});

test('no worker, no sample: still a profile', () => {
  assert.deepEqual(readable(cpuPprof([], 0)), []);
  assert.deepEqual(readable(heapPprof([], 0)), []);
});

test("V8's own profiles are understood", async () => {
  const profiler = new Profiler(systemClock);
  const profiled = profiler.cpu(1, 1000);
  await assert.rejects(profiler.cpu(1, 100), /another CPU profile is being taken/);
  const end = performance.now() + 200;
  const busy = function spinningHere() {
    while (performance.now() < end) Math.random();
  };
  setTimeout(busy, 10);
  const stacks = readable(cpuPprof([(await profiled) as CpuProfile], 0));
  assert.ok(stacks.some(([stack]) => stack.includes('spinningHere')));
  assert.equal(await profiler.heap(), null);
  assert.equal(await profiler.sampleHeap(true), true);
  assert.ok(heapPprof([(await profiler.heap()) as HeapProfile], 0).length > 0);
  assert.equal(await profiler.sampleHeap(undefined), true);
  assert.equal(await profiler.sampleHeap(false), false);
});
