/**
 * Rolls the node proxies of a mesh from ours to Istio's and back, under our agent and istiod, with calls running:
 *
 *   scripts/pinned-node test/peers/roll-ztunnel.ts PATH_OF_ZTUNNEL [ROUNDS]
 *
 * The agent captures by nftables: Istio's proxy takes what comes to fixed ports, and knows nothing of a steering socket. Needs what
 * test/e2e/upgrade.test.ts needs. Prints a line a case; exits with 1 when one failed.
 */
import { until } from '../../common/testing/until.ts';
import { space, waiting } from '../e2e/helmed.ts';
import { programArguments, programInstead, underCalls } from './rolling.ts';

const { path, rounds } = programArguments(process.argv.slice(2));
const istio = programInstead('ztunnel', path);
const isIstio = /version\.BuildInfo/;
/** Both programs log alike. */
const identified =
  /connection complete.*src\.identity="spiffe:\/\/cluster\.local\/ns\/e2e\/sa\/client".*direction="inbound"/;

await underCalls('peerroll', 'nft', async (lab, step) => {
  const rolled = async (theirs: boolean, change: () => Promise<string>) => {
    const old = await lab.uids('ztunnel');
    await change();
    await lab.replaced('ztunnel', old);
    for (const { metadata } of await lab.podsOf('ztunnel')) {
      const log = await lab.kubectl.ok(['logs', metadata.name, ...space]);
      if (isIstio.test(log) !== theirs)
        throw new Error(`${metadata.name} runs another program:\n${log.slice(0, 1_000)}`);
    }
    await until('calls by the new proxies', async () =>
      identified.test(await lab.kubectl.ok(['logs', '-l', 'app=ztunnel', '--tail=200', ...space])),
    );
  };
  for (let i = 0; i < rounds; i++) {
    const again = ['--set-string', `podAnnotations.round=${i}`, ...waiting];
    await step("ours to Istio's", () => rolled(true, () => lab.upgrade('ztunnel', ...istio, ...again)));
    await step("our agent and istiod replaced under Istio's", async () => {
      const old = await Promise.all([lab.uids('istio-cni'), lab.uids('istiod')]);
      await Promise.all([
        lab.upgrade('cni', '--set', 'aquifer.capture=nft', ...again),
        lab.upgrade('istiod', ...again),
      ]);
      await Promise.all([lab.replaced('istio-cni', old[0]), lab.replaced('istiod', old[1])]);
      // It looks for the new agent after growing pauses, and is not ready until then: rolled before, it would end before its successor serves.
      await lab.kubectl.ok(['rollout', 'status', 'ds/ztunnel', '--timeout=60s', ...space]);
    });
    await step("Istio's to ours, by helm rollback", () =>
      rolled(false, () => lab.helm.ok(['rollback', 'ztunnel', ...space, ...waiting])),
    );
    await step('ours to ours', () => rolled(false, () => lab.upgrade('ztunnel', ...again)));
  }
});
