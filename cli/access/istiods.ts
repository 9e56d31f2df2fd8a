/** What istiods say of themselves: their monitoring port, through the API server, as their own machine sees it. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { Cluster } from './cluster.ts';
import { askOver } from './http.ts';
import { askLabIstiod, labOf } from './lab.ts';
import { isRunning, podsWith } from './pods.ts';

export interface IstiodAnswer {
  /** Of its pod. */
  readonly istiod: string;
  readonly revision: string;
  readonly status: number;
  readonly body: string;
}

const monitoringPort = 15_014;

/**
 * A GET of each istiod that runs, of one revision where it is said. MeshError NOT_FOUND where none runs, CONNECT_FAILED where one does not
 * answer: in one line, for whoever reads half of the answers is misled.
 */
export async function askIstiods(
  cluster: Pick<Cluster, 'client' | 'istioNamespace' | 'kubeconfig'>,
  path: string,
  revision?: string,
  /** Answers beside 200 that say something, too. */
  alsoTaken: readonly number[] = [],
): Promise<readonly IstiodAnswer[]> {
  const { client, istioNamespace: namespace } = cluster;
  const all = await podsWith(client, namespace, { matchLabels: { app: 'istiod' } });
  const wanted = all.filter(
    (pod) => isRunning(pod) && (revision === undefined || pod.metadata.labels?.[revisionLabel] === revision),
  );
  const lab = labOf(cluster.kubeconfig);
  if (wanted.length === 0 && lab !== undefined && revision === undefined) {
    return [{ istiod: 'istiod', revision: 'default', ...(await askLabIstiod(lab, monitoringPort, path, alsoTaken)) }];
  }
  if (wanted.length === 0) {
    const which = revision === undefined ? '' : ` of revision ${revision}`;
    throw new MeshError(
      'NOT_FOUND',
      `no istiod${which} runs in namespace ${namespace}; aquifer check says what is missing`,
    );
  }
  return Promise.all(
    wanted.map(async ({ metadata }) => {
      const name = `${namespace}/${metadata.name}`;
      try {
        const { status, body } = await askOver(
          await client.dial({ namespace, name: metadata.name }, monitoringPort),
          path,
        );
        if (status !== 200 && !alsoTaken.includes(status)) throw new Error(`HTTP ${status}: ${body.trim()}`);
        return { istiod: metadata.name, revision: metadata.labels?.[revisionLabel] ?? 'default', status, body };
      } catch (e) {
        throw new MeshError('CONNECT_FAILED', `istiod ${name} does not answer: ${describeError(e)}`);
      }
    }),
  );
}
