/** What the scripts of shells ask: `aquifer __complete WORD...`. Fails silently: somebody is typing. */
import type { Kind } from '../../common/kube/types.ts';
import type { Offer, Verb } from '../grammar.ts';
import { print } from '../print.ts';
import { candidates } from './candidates.ts';

/** Ms that somebody who pressed a key waits. */
const patience = 2_000;

export async function complete(root: Verb, words: readonly string[]): Promise<number> {
  const found = candidates(root, words);
  if (found.kind === 'words') {
    print('words');
    for (const { word, about } of found.words) print(about === '' ? word : `${word}\t${about}`);
    return 0;
  }
  const { offer, prefix } = found;
  if (offer === 'file' || offer === 'directory') {
    print(offer);
    return 0;
  }
  print('words');
  const names = await Promise.race([namesOf(offer, words).catch(() => []), late()]);
  for (const name of names) if (name.startsWith(prefix)) print(name);
  return 0;
}

async function late(): Promise<readonly string[]> {
  await new Promise((resolve) => setTimeout(resolve, patience));
  return [];
}

/** Of the cluster that the words so far name. */
async function namesOf(
  offer: Exclude<Offer, 'file' | 'directory'>,
  words: readonly string[],
): Promise<readonly string[]> {
  const [{ withCluster }, { namespaceKind, nodeKind, podKind, serviceKind }] = await Promise.all([
    import('../access/cluster.ts'),
    import('../../common/kube/kinds/core.ts'),
  ]);
  const valueAfter = (...names: readonly string[]) => {
    const at = words.findLastIndex((w, i) => names.includes(w) && i < words.length - 1);
    return at < 0 ? undefined : words[at + 1];
  };
  const values = {
    kubeconfig: valueAfter('-c', '--kubeconfig'),
    context: valueAfter('--context'),
    namespace: valueAfter('-n', '--namespace'),
    istioNamespace: 'istio-system',
  };
  return withCluster(values, process.env, async ({ client, onlyNamespace }) => {
    const kind: Kind = { namespace: namespaceKind, node: nodeKind, pod: podKind, service: serviceKind }[offer];
    const within = onlyNamespace === undefined || !kind.namespaced ? {} : { namespace: onlyNamespace };
    const { items } = await client.list(kind, AbortSignal.timeout(patience), { within });
    return items.map(({ metadata }) =>
      kind.namespaced && onlyNamespace === undefined ? `${metadata.name}.${metadata.namespace}` : metadata.name,
    );
  });
}
