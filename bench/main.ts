/** `npm run bench -- l4 ...`: numbers of this machine, as ratios within one run. */
import { parseArgs } from 'node:util';
import { describeError } from '../common/core/errors.ts';
import { benchApi } from './api/bench.ts';
import { benchFilters } from './filters.ts';
import { benchHold } from './hold.ts';
import { benchIdleMemory } from './idle-memory.ts';
import { benchIstiod } from './istiod/istiod.ts';
import { benchL4 } from './l4.ts';
import { benchL7Hostile } from './l7/hostile.ts';
import { benchMatch } from './l7/match.ts';
import { benchL7Memory } from './l7/memory.ts';
import { benchMetrics } from './l7/metrics.ts';
import { benchL7Requests } from './l7/requests.ts';
import { benchL7Telemetry } from './l7/telemetry.ts';
import { benchLabUp } from './lab-up.ts';
import { benchPolicyLatency } from './policy-latency.ts';
import { benchScriptFilter } from './script-filter.ts';
import { benchTracing } from './tracing.ts';

const usage = `usage: npm run bench -- l4 [--engine node] [--spin 30] [--big-tcp] [--peer PATH | --same-node] [--rounds 3] [--quick]
       npm run bench -- l4 --policy-latency [--quick]
       npm run bench -- l4 --lab-up
       npm run bench -- l4 --hold [--quick]
       npm run bench -- l4 --memory [--engine node] [--peer PATH]
       npm run bench -- l7 [--rounds 3] [--quick]
       npm run bench -- l7 --memory
       npm run bench -- l7 --match
       npm run bench -- l7 --metrics
       npm run bench -- l7 --telemetry [--rounds 3] [--quick]
       npm run bench -- l7 --hostile [--quick]
       npm run bench -- filters
       npm run bench -- api [--peer KUBECONFIG] [--quick]
       npm run bench -- istiod [--quick] [--long] [--data DIR]

  --peer PATH        compare with this ztunnel, or API server, too
  --engine NAME      what moves bytes in ours: native (default), node
  --spin US          AQUIFER_ENGINE_SPIN_US of ours
  --big-tcp          packets of 256 KiB inside the nodes, for all that is compared
  --same-node        pairs on one node: outside of the mesh, by the proxy, and past it (AQUIFER_SAME_NODE)
  --rounds N         rounds, interleaved; medians are printed (default 3)
  --quick            one short round, 10 policies instead of 100, or 1,000 pods
  --policy-latency   from the write of a policy to its effect
  --memory           of node proxies when idle and by open connections; of waypoints with 1 and 1,000 clusters, ours and Envoy's
  --lab-up           from nothing to ten enrolled pods
  --hold             from a pod's address to the answer to its first connect
  --metrics          what Istio's metrics cost, and their page
  --telemetry        what metrics, logs and traces together cost a waypoint's requests
  --match            what it takes to decide among 10,000 routes
  --hostile          calls through waypoints beside peers that flood them
  --long             with 100,000 changes
  --data DIR         keeps the objects of the bench for the next run
`;

process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        peer: { type: 'string' },
        engine: { type: 'string', default: 'native' },
        spin: { type: 'string', default: '0' },
        'big-tcp': { type: 'boolean', default: false },
        'same-node': { type: 'boolean', default: false },
        rounds: { type: 'string', default: '3' },
        quick: { type: 'boolean', default: false },
        'policy-latency': { type: 'boolean', default: false },
        'lab-up': { type: 'boolean', default: false },
        hold: { type: 'boolean', default: false },
        memory: { type: 'boolean', default: false },
        match: { type: 'boolean', default: false },
        metrics: { type: 'boolean', default: false },
        telemetry: { type: 'boolean', default: false },
        hostile: { type: 'boolean', default: false },
        long: { type: 'boolean', default: false },
        data: { type: 'string' },
      },
    });
    const rounds = Number(values.rounds);
    if (positionals.join() === 'filters') {
      benchFilters();
      benchTracing();
      await benchScriptFilter();
      return 0;
    }
    if (positionals.join() === 'api') {
      await benchApi({ pods: values.quick ? 1_000 : 10_000, peer: values.peer });
      return 0;
    }
    if (positionals.join() === 'istiod') {
      await benchIstiod({ quick: values.quick, long: values.long, data: values.data });
      return 0;
    }
    if (positionals.join() === 'l7' && values.memory) {
      await benchL7Memory();
      return 0;
    }
    if (positionals.join() === 'l7' && values.hostile) {
      await benchL7Hostile(values.quick ? 1 : 5);
      return 0;
    }
    if (positionals.join() === 'l7' && values.match) {
      benchMatch();
      return 0;
    }
    if (positionals.join() === 'l7' && values.telemetry) {
      await (values.quick ? benchL7Telemetry(1, 1) : benchL7Telemetry(rounds, 3));
      return 0;
    }
    if (positionals.join() === 'l7' && values.metrics) {
      benchMetrics();
      return 0;
    }
    if (positionals.join() === 'l7') {
      await benchL7Requests(
        values.quick ? { rounds: 1, seconds: 2, changes: 10 } : { rounds, seconds: 3, changes: 40 },
      );
      return 0;
    }
    if (positionals.join() !== 'l4' || !Number.isInteger(rounds) || rounds < 1) throw new Error(usage);
    if (values['lab-up']) await benchLabUp();
    else if (values.memory) await benchIdleMemory({ peer: values.peer, engine: values.engine });
    else if (values.hold) await benchHold(values.quick ? 20 : 200);
    else if (values['policy-latency']) await benchPolicyLatency({ writes: values.quick ? 10 : 100 });
    else {
      const { peer, engine } = values;
      if (peer !== undefined && values['same-node']) throw new Error(usage);
      const bigTcp = values['big-tcp'];
      await benchL4({
        peer,
        engine,
        bigTcp,
        sameNode: values['same-node'],
        spin: Number(values.spin),
        rounds: values.quick ? 1 : rounds,
        seconds: values.quick ? 1 : 4,
      });
    }
    return 0;
  } catch (e) {
    process.stderr.write(`bench: ${describeError(e)}\n`);
    return 1;
  }
}
