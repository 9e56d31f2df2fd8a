/** `aquifer tag`: names for revisions, as istioctl's. */
import { namespaceKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { defaultRevision, defaultValidator, revisionLabel } from '../../common/kube/revisions.ts';
import type { Kind, KubeObject, NewObject } from '../../common/kube/types.ts';
import { mutatingWebhooks, validatingWebhooks } from '../../istiod/validation/ca-bundle.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { noOperands, OperandError, oneOf, oneOperand, readArguments } from '../arguments.ts';
import { isConfirmed } from '../confirm.ts';
import { print, printAs, tell } from '../print.ts';
import { formatTable } from '../table.ts';
import { listOptions, removeOptions, setOptions } from './options.ts';
import { namespacesOf, removedWith, setTag, type TagFacts, tagRows } from './plan.ts';

const fieldManager = 'istioctl';

export async function runSet(verb: 'set' | 'generate', args: readonly string[]): Promise<number> {
  const command = `tag ${verb}`;
  const { values, positionals } = readArguments(command, args, setOptions);
  const tag = oneOperand(command, 'one tag', positionals);
  const { revision, overwrite = false } = values;
  if (revision === undefined)
    throw new OperandError(`aquifer ${command}: --revision is missing: whose istiod ${tag} points to`);
  const generates = verb === 'generate';
  return withCluster(values, process.env, async (cluster) => {
    const change = setTag(await readFacts(cluster), { tag, revision, overwrite, generates });
    const { service, validator, injectors } = change;
    if (generates) {
      await printAs('yaml', service);
      if (validator !== undefined) {
        print('---');
        await printAs('yaml', bare(validator));
      }
      for (const i of injectors) tell(`MutatingWebhookConfiguration ${i.metadata.name} has this tag, too: delete it`);
      return 0;
    }
    const taken = injectors.map((i) => i.metadata.name).join(', ');
    const what = `This takes away MutatingWebhookConfiguration ${taken}: pods that start from then on get no sidecar.`;
    if (taken !== '' && !(await isConfirmed(what, values['skip-confirmation'] === true))) return 0;
    const { client } = cluster;
    await client.apply(service, { fieldManager, force: overwrite });
    if (validator !== undefined) {
      const { metadata, webhooks } = validator as KubeObject & { readonly webhooks: unknown };
      const { name, labels, resourceVersion } = metadata;
      await client.patch(validatingWebhooks, { name }, { metadata: { labels }, webhooks }, { resourceVersion });
    }
    for (const object of injectors) await client.remove(object);
    print(`tag ${tag} points to revision ${revision}`);
    if (tag === defaultRevision) {
      print(
        `what names no revision is its own; ${validator ? 'and checked by it' : `nobody checks it: there is no ${defaultValidator} (chart base)`}`,
      );
    } else print(`next: kubectl label namespace NAMESPACE ${revisionLabel}=${tag}`);
    return 0;
  });
}

export async function runList(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('tag list', args, listOptions);
  noOperands('tag list', positionals);
  const format = oneOf('--output', values.output, 'table', 'json', 'yaml');
  return withCluster(values, process.env, async (cluster) => {
    const rows = tagRows(await readFacts(cluster));
    if (rows.length === 0) print('No Istio revision tags found.');
    else if (format !== 'table') await printAs(format, rows);
    else
      print(
        formatTable(
          ['TAG', 'REVISION', 'NAMESPACES'],
          rows.map((r) => [r.tag, r.revision, r.namespaces.join(',')]),
        ),
      );
    return 0;
  });
}

export async function runRemove(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('tag remove', args, removeOptions);
  const tag = oneOperand('tag remove', 'one tag', positionals);
  return withCluster(values, process.env, async (cluster) => {
    const facts = await readFacts(cluster);
    const objects = removedWith(facts, tag);
    const left = namespacesOf(facts, tag);
    const what = `Namespaces ${left.join(', ')} name tag ${tag}: then no istiod makes waypoints or writes statuses there.`;
    if (left.length > 0 && !(await isConfirmed(what, values['skip-confirmation'] === true))) {
      print('Aborting operation.');
      return 0;
    }
    for (const object of objects) await cluster.client.remove(object);
    print(`tag ${tag} removed`);
    return 0;
  });
}

async function readFacts({ client, istioNamespace }: Cluster): Promise<TagFacts> {
  const { signal } = new AbortController();
  const list = async (kind: Kind<KubeObject>, namespace?: string) =>
    (await client.list(kind, signal, { within: namespace === undefined ? {} : { namespace } })).items;
  const hasRevision = ({ metadata }: KubeObject) => metadata.labels?.[revisionLabel] !== undefined;
  const [services, injectors, validators, namespaces] = await Promise.all([
    list(serviceKind as unknown as Kind<KubeObject>, istioNamespace),
    list(mutatingWebhooks),
    list(validatingWebhooks),
    list(namespaceKind as unknown as Kind<KubeObject>),
  ]);
  return {
    istioNamespace,
    services: services.filter(hasRevision),
    injectors: injectors.filter(hasRevision),
    validators,
    namespaces,
  };
}

/** As somebody applies it. */
function bare({
  metadata: { name, labels },
  status: _,
  ...rest
}: KubeObject & { readonly status?: unknown }): NewObject {
  return { ...rest, metadata: { name, ...(labels && { labels }) } };
}
