/** networking.istio.io ProxyConfig. */
import { about, map, object, orNull, string, type TypeOf } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { count32, type IstioStatus, istioKind, selector } from './common.ts';

const spec = object({
  selector,
  concurrency: about('Worker threads of the proxy; 0: one for each CPU.', orNull(count32)),
  environmentVariables: about('Environment of the proxy.', map(string({ maxLength: 2048 }))),
  image: about('Image of the proxy.', object({ imageType: about('default, debug or distroless.', string()) })),
});

export interface ProxyConfig extends KubeObject {
  readonly spec?: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const proxyConfigKind: Kind<ProxyConfig> = {
  group: 'networking.istio.io',
  version: 'v1beta1',
  kind: 'ProxyConfig',
  plural: 'proxyconfigs',
  namespaced: true,
};

export const proxyConfig = istioKind(proxyConfigKind, {
  description: 'Settings of proxies that take effect when they start.',
  versions: ['v1beta1'],
  spec,
  specRequired: false,
});
