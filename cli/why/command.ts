/** `aquifer why`. */

import { parseCompat } from '../../common/config/compat.ts';
import { compatCases } from '../../common/core/compat.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import { configMapKind, namespaceKind, nodeKind, podKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { workloadName } from '../../common/mesh/address.ts';
import { type AtWaypoint, decideWhy, type Side, type Verdict } from '../../common/why/decide.ts';
import type { ObjectRef } from '../../istiod/model/resource.ts';
import { askWaypoint, type RequestQuestion } from '../../istiod/why/waypoint.ts';
import { withCluster } from '../access/cluster.ts';
import { openClient } from '../api-access.ts';
import { noOperands, oneOf, readArguments, UsageError } from '../arguments.ts';
import { readCluster } from '../cluster.ts';
import type { ConnectionValues } from '../connection-options.ts';
import { readObjects } from '../manifests.ts';
import { meshOf, type WhyMesh } from './mesh.ts';
import { options } from './options.ts';
import { findTarget, findWorkload } from './places.ts';
import { findRequest, reasonIn } from './request.ts';
import { simulate } from './simulate.ts';

const refusedCode = 3;

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('why', args, options);
  const format = oneOf('--output', values.output, 'text', 'json');
  const id = values['request-id'];
  if (id !== undefined) {
    noOperands('why --request-id', positionals);
    return ofRequest(id, values);
  }
  const [from, to, ...more] = positionals;
  if (from === undefined || to === undefined || more.length > 0) {
    throw new UsageError('aquifer why: a source and a destination are expected; see aquifer why --help');
  }
  const compat = values.compat === undefined ? new Set<never>() : parseCompat(values.compat);
  if (compat === undefined) throw new UsageError(`--compat: expected istio, or a list of ${compatCases.join(', ')}`);
  const objects =
    values.filename === undefined ? await ofCluster(values) : simulate(await readObjects(values.filename));
  const mesh = meshOf(objects, values.istioNamespace, compat);
  const places = { store: mesh.store, objects, domain: 'cluster.local' };
  const source = findWorkload(places, from);
  const target = findTarget(places, to, source);
  const request: RequestQuestion = {
    method: values.method,
    path: values.path,
    host: values.host ?? hostOf(to),
    headers: (values.header ?? []).map(headerOf),
  };
  const atWaypoint = (at: AtWaypoint) => askWaypoint(mesh.envoy, at, request).verdict;
  const verdict = decideWhy(mesh.store, { source, target, compat, atWaypoint });
  if (format === 'json') print(JSON.stringify(jsonOf(verdict, mesh), undefined, 2));
  else for (const line of linesOf(verdict, mesh, to)) print(line);
  return verdict.allowed ? 0 : refusedCode;
}

async function ofRequest(id: string, values: ConnectionValues): Promise<number> {
  const { found, read, problems } = await withCluster(values, process.env, (cluster) => findRequest(cluster, id));
  for (const problem of problems) process.stderr.write(`not read: ${problem}\n`);
  for (const { proxy, lines } of found) {
    for (const line of lines) {
      print(`${proxy}: ${line}`);
      const reason = reasonIn(line);
      if (reason !== undefined) print(`  ${reason}`);
    }
  }
  if (found.length > 0) return 0;
  process.stderr.write(
    `none of ${read} access logs has ${JSON.stringify(id)}; waypoints write one with meshConfig.accessLogFile=/dev/stdout\n`,
  );
  return 1;
}

/** As a client would call it: `svc/shop/web:80` by the first name of it. */
function hostOf(destination: string): string {
  const name = destination.slice(0, destination.lastIndexOf(':'));
  return name.split('/').at(-1) ?? name;
}

function headerOf(text: string): readonly [string, string] {
  const colon = text.indexOf(':');
  if (colon <= 0) throw new UsageError(`--header: ${JSON.stringify(text)} is no NAME:VALUE`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

async function ofCluster(values: ConnectionValues): Promise<readonly KubeObject[]> {
  const source = openClient(values, process.env);
  const kinds = [namespaceKind, nodeKind, podKind, serviceKind, endpointSliceKind, deploymentKind, configMapKind];
  try {
    const { objects, problems } = await readCluster(source, [...kinds, ...customKinds.map((c) => c.kind)]);
    for (const problem of problems) process.stderr.write(`${problem}\n`);
    return objects;
  } finally {
    source.close();
  }
}

function linesOf(verdict: Verdict, mesh: WhyMesh, to: string): readonly string[] {
  const side = (title: string, { workload, lines, policies }: Side) => [
    `${title}${workload === undefined ? '' : `: ${workloadName(workload)}, ${describe(mesh.inputsOf(workload.uid))}`}`,
    ...lines.map((line) => `  ${line}`),
    ...policies.map((name) => `  policy ${name} is of ${describe(mesh.inputsOf(name)) || 'nothing that is known'}`),
  ];
  return [
    `${verdict.allowed ? 'ALLOWED' : 'REFUSED'} by ${verdict.by}`,
    '',
    ...side('source', verdict.source),
    '',
    ...side(`destination ${to}`, verdict.destination),
    ...verdict.open.map((text) => `left open: ${text}`),
    ...mesh.leftOut.map((text) => `left out by istiod: ${text}`),
  ];
}

/** `Pod shop/web-1 (generation 1), Service shop/web`. */
function describe(inputs: readonly ObjectRef[]): string {
  return inputs
    .map(({ kind, namespace, name, generation }) => {
      const text = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
      return generation === 0 ? text : `${text} (generation ${generation})`;
    })
    .join(', ');
}

function jsonOf({ source, destination, ...rest }: Verdict, mesh: WhyMesh): object {
  const side = ({ workload, lines, policies }: Side) => ({
    workload: workload?.uid,
    objects: workload === undefined ? [] : mesh.inputsOf(workload.uid),
    lines,
    policies: policies.map((name) => ({ name, objects: mesh.inputsOf(name) })),
  });
  return { ...rest, source: side(source), destination: side(destination), leftOut: mesh.leftOut };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
