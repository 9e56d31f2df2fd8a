/**
 * Replaces our istiod by Istio's and back, with calls through our agent and node proxies, which are replaced under it too:
 *
 *   scripts/pinned-node test/peers/roll-istiod.ts PATH_OF_PILOT_DISCOVERY [ROUNDS]
 *
 * Both read one root from Secret istio-ca-secret. Needs what test/e2e/upgrade.test.ts needs. Prints a line a case; exits with 1 when one failed.
 */
import { space, waiting } from '../e2e/helmed.ts';
import { programArguments, programInstead, underCalls } from './rolling.ts';

const { path, rounds } = programArguments(process.argv.slice(2));
/** What its own chart sets in the profile "ambient". */
const istio = [...programInstead('istiod', path), '--set-string', 'env.PILOT_ENABLE_AMBIENT=true'];

await underCalls('peerist', 'ebpf', async (lab, step) => {
  const account = '--serviceaccount=istio-system:istiod';
  await lab.kubectl.ok(['create', 'clusterrolebinding', 'istios-istiod', '--clusterrole=cluster-admin', account]);
  for (let i = 0; i < rounds; i++) {
    const again = ['--set-string', `podAnnotations.round=${i}`, ...waiting];
    const rolled = async (app: 'istiod' | 'ztunnel' | 'istio-cni', change: () => Promise<string>) => {
      const old = await lab.uids(app);
      await change();
      await lab.replaced(app, old);
    };
    await step("our istiod to Istio's", () => rolled('istiod', () => lab.upgrade('istiod', ...istio, ...again)));
    await step("our node proxies replaced under Istio's istiod", () =>
      rolled('ztunnel', () => lab.upgrade('ztunnel', ...again)),
    );
    await step("our agents replaced under Istio's istiod", () =>
      rolled('istio-cni', () => lab.upgrade('cni', ...again)),
    );
    await step("Istio's istiod to ours, by helm rollback", () =>
      rolled('istiod', () => lab.helm.ok(['rollback', 'istiod', ...space, ...waiting])),
    );
    await step('our node proxies replaced under ours', () =>
      rolled('ztunnel', () => lab.helm.ok(['rollback', 'ztunnel', ...space, ...waiting])),
    );
  }
});
