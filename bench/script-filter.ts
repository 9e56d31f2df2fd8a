/** `npm run bench -- filters`: what a TypeScript filter that sets one header costs a request, in CPU time of both processes. */
import { systemClock } from '../common/core/clock.ts';
import { silentLogger } from '../common/core/log.ts';
import { checkFields } from '../common/envoy/fields.ts';
import type { FilterContext } from '../waypoint/filters/filter.ts';
import { scriptFilter } from '../waypoint/filters/script/filter.ts';
import type { ScriptHost } from '../waypoint/filters/script/host.ts';
import { defaultLimits } from '../waypoint/filters/script/limits.ts';
import { ScriptProcess } from '../waypoint/filters/script/process.ts';
import { Script } from '../waypoint/filters/script/script.ts';
import { Headers } from '../waypoint/request/headers.ts';
import { filterEnvironment } from '../waypoint/testing/filter-environment.ts';
import { view } from '../waypoint/testing/view.ts';
import { median } from './statistics.ts';

const requests = 5_000;
const rounds = 7;
/** Microseconds (issue 10). */
const goal = 30;
const source = `export default { onRequest(request) { request.headers.set('x-set', 'by a module'); } };`;

/** `atOnce`: requests that are on their way at one time. */
export async function benchScriptFilter(): Promise<void> {
  let runner: ScriptProcess | undefined;
  const script = new Script(
    { source, config: '{}' },
    {
      name: 'bench',
      limits: { ...defaultLimits, share: 64 },
      clock: systemClock,
      log: silentLogger,
      onDeath: () => undefined,
      run: (spec, limits, counters, events) => {
        runner = new ScriptProcess(spec, limits, counters, events);
        return runner;
      },
    },
  );
  const scripts: ScriptHost = {
    use: () => script,
    count: () => undefined,
    measure: () => undefined,
    line: () => undefined,
  };
  const made = checkFields({ name: 'wasmplugin/shop/bench', source }, 'ScriptFilter', (fields) =>
    scriptFilter.read(fields, { ...filterEnvironment(), scripts }),
  );
  if (made.kind !== 'ok') throw new Error(made.reason);
  const filter = made.value;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const asked = view({ path: '/a/b?c=d' });
      const headers = new Headers(['user-agent', 'bench', 'accept', '*/*', 'cookie', 'a=b', 'x-request-id', 'x']);
      const verdict = filter.onRequest({ ...asked, headers }, context);
      if (verdict.kind !== 'ask') throw new Error('the module was not asked');
      verdict.ask((told) => (told.kind === 'continue' ? resolve() : reject(new Error('the module failed'))));
    });
  await one();
  for (const atOnce of [1, 8, 32]) {
    const ours: number[] = [];
    const its: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const from = process.cpuUsage();
      const before = runner!.cpu()!;
      let left = requests;
      const worker = async () => {
        while (left-- > 0) await one();
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      const { user, system } = process.cpuUsage(from);
      ours.push((user + system) / requests);
      its.push(((runner!.cpu()! - before) * 1_000) / requests);
    }
    const [mine, theirs] = [median(ours), median(its)];
    const met = mine + theirs <= goal ? '' : ': missed';
    process.stdout.write(
      `TypeScript filter that sets one header, ${atOnce} requests at once: ${(mine + theirs).toFixed(1)} us of CPU a request (${goal}${met}), ${mine.toFixed(1)} of them the waypoint's\n`,
    );
  }
  script.close();
}

const context = {
  cluster: 'outbound|80||web',
  now: () => Date.now(),
  count: () => undefined,
  remember: () => undefined,
  recall: () => undefined,
  clearRoute: () => undefined,
} as unknown as FilterContext;
