/** pods/log, pods/exec, pods/attach and pods/portforward: between the client and the kubelet of the pod's node. */
import type { SubresourceInfo } from '../discovery/groups.ts';
import type { Reply, ResourceApiRequest } from '../http/api-request.ts';
import type { ApiObject } from '../objects.ts';
import type { Core, Part, PartMaker, SpecialEndpoint } from '../part.ts';
import type { Resource } from '../resources/resource.ts';
import type { Endpoint } from '../rest/endpoints.ts';
import { parse } from '../rest/rest.ts';
import { ApiError, badRequest, methodNotAllowed } from '../status.ts';
import { httpKubelet } from './http-kubelet.ts';
import type { Kubelet, KubeletOf } from './kubelet.ts';
import { callPortForward } from './port-forward.ts';
import { callProcess } from './processes.ts';
import { containerOf, logOptions, nodeOf, podRef, processOptions } from './target.ts';
import { upgradeOf } from './upgrade.ts';

const pods = { group: '', resource: 'pods' };

export const kubeletPart: PartMaker = (core) => makeKubeletPart(core, (node) => httpKubelet(node, core.credentials));

export function makeKubeletPart(core: Core, kubeletOf: KubeletOf): Part {
  const log = core.log('kubelet');
  const nodes = core.registry.find('', 'v1', 'nodes')!;
  const find = (request: ResourceApiRequest, resource: Resource) => {
    const { namespace, name } = request.info;
    const pod = parse(core.rest.get(resource, namespace, name).json, resource);
    return { pod, kubelet: () => kubeletAt(pod) };
  };
  const kubeletAt = (pod: ApiObject): Kubelet => {
    const node = nodeOf(pod);
    if (node === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
    try {
      return kubeletOf(parse(core.rest.get(nodes, '', node).json, nodes));
    } catch (e) {
      if (!(e instanceof ApiError) || e.status.code !== 404) throw e;
      throw badRequest(`node ${JSON.stringify(node)} of pod ${pod.metadata.name} does not exist`);
    }
  };

  const logs: Endpoint = async (request, resource) => {
    if (request.info.verb !== 'get') throw methodNotAllowed(resource, request.method);
    const { pod, kubelet } = find(request, resource);
    const container = containerOf(pod, request.query.get('container'));
    const options = logOptions(request.query, core.clock.wall());
    if (nodeOf(pod) === '') return { kind: 'text', code: 200, contentType: 'text/plain', text: '' };
    const chunks = await kubelet().logs({ kind: 'logs', pod: podRef(pod), container, options }, request.signal);
    return { kind: 'stream', contentType: 'text/plain', chunks };
  };

  const process =
    (kind: 'exec' | 'attach'): Endpoint =>
    async (request, resource): Promise<Reply> => {
      const upgrade = upgradeOf(streaming(request, resource).headers);
      const { pod, kubelet } = find(request, resource);
      const container = containerOf(pod, request.query.get('container'));
      const options = processOptions(request.query);
      const command = request.query.getAll('command');
      if (kind === 'exec' && command.length === 0) throw badRequest('you must specify a command');
      const common = { pod: podRef(pod), container, options };
      const asked = kind === 'exec' ? { kind, ...common, command } : { kind, ...common };
      return callProcess({ upgrade, kubelet: kubelet(), request: asked, signal: request.signal, log });
    };

  const portForward: Endpoint = async (request, resource) => {
    const upgrade = upgradeOf(streaming(request, resource).headers);
    const { pod, kubelet } = find(request, resource);
    return callPortForward({ upgrade, kubelet: kubelet(), pod: podRef(pod), signal: request.signal, log });
  };

  return {
    endpoints: [
      endpoint('log', 'Pod', ['get'], logs),
      endpoint('exec', 'PodExecOptions', ['create', 'get'], process('exec')),
      endpoint('attach', 'PodAttachOptions', ['create', 'get'], process('attach')),
      endpoint('portforward', 'PodPortForwardOptions', ['create', 'get'], portForward),
    ],
  };
}

/** WebSocket comes by GET, SPDY by POST. */
function streaming(request: ResourceApiRequest, resource: Resource): ResourceApiRequest {
  const { verb } = request.info;
  if (verb === 'get' || verb === 'create') return request;
  throw methodNotAllowed(resource, request.method);
}

function endpoint(subresource: string, kind: string, verbs: readonly string[], handle: Endpoint): SpecialEndpoint {
  const info: SubresourceInfo = { name: subresource, group: '', version: 'v1', kind, verbs };
  return { of: pods, subresource, describe: () => info, handle };
}
