/** extensions.istio.io: WasmPlugin and TrafficExtension. Nothing of ours runs them; they are kept and checked. */
import {
  about,
  int32,
  list,
  object,
  oneOf,
  open,
  orNull,
  port,
  string,
  type TypeOf,
  where,
} from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, type IstioStatus, istioKind, oneTarget, selector, targetRef, targetRefs } from './common.ts';

const schemes = "['', 'http', 'https', 'file', 'oci']";
const variable = where(
  object({
    'name!': about('Name of the variable.', string({ minLength: 1, maxLength: 256 })),
    valueFrom: about("The value below, or the proxy's own. Default INLINE.", oneOf('INLINE', 'HOST')),
    value: about('Value of the variable.', string({ maxLength: 2048 })),
  }),
  "!has(self.valueFrom) || self.valueFrom != 'HOST' || !has(self.value)",
  'with valueFrom HOST the value is of the proxy; remove it here',
);

const wasmFields = {
  'url!': about(
    'Where the module is: an image, or an URL.',
    where(
      string({ minLength: 1 }),
      `isURL(self) ? url(self).getScheme() in ${schemes} : isURL('http://' + self)`,
      'expected http, https, file, oci, or the name of an image',
    ),
  ),
  sha256: about('Hash of the module.', string({ pattern: '(^$|^[a-f0-9]{64}$)', expects: '64 hexadecimal digits' })),
  imagePullPolicy: about('When an image is fetched.', oneOf('UNSPECIFIED_POLICY', 'IfNotPresent', 'Always')),
  imagePullSecret: about('Secret to fetch it with.', string({ minLength: 1, maxLength: 253 })),
  verificationKey: about('Key that has signed the module.', string()),
  pluginConfig: about('Settings of the module.', open),
  pluginName: about('Name of the module in it.', string({ minLength: 1, maxLength: 256 })),
  failStrategy: about('What happens where the module fails.', oneOf('FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD')),
  vmConfig: about(
    'Environment of the module.',
    object({ env: list(variable, { maxItems: 256, 'x-kubernetes-list-map-keys': ['name'] }) }),
  ),
  type: about('HTTP or network filter.', oneOf('UNSPECIFIED_PLUGIN_TYPE', 'HTTP', 'NETWORK')),
};
const priority = about('Higher numbers come first within a phase.', orNull(int32));
const match = about(
  'Which traffic; without any, all.',
  list(
    object({
      mode: about('Where calls leave or arrive.', oneOf('UNDEFINED', 'CLIENT', 'SERVER', 'CLIENT_AND_SERVER')),
      ports: list(object({ 'number!': port }), { 'x-kubernetes-list-map-keys': ['number'] }),
    }),
  ),
);
const oneTargetRef = about('What this is attached to; targetRefs takes several.', targetRef);

const wasmSpec = object(
  {
    selector,
    targetRef: oneTargetRef,
    targetRefs,
    ...wasmFields,
    phase: about('Place among the filters.', oneOf('UNSPECIFIED_PHASE', 'AUTHN', 'AUTHZ', 'STATS')),
    priority,
    match,
  },
  oneTarget,
);

const extensionSpec = where(
  object(
    {
      selector,
      targetRefs,
      wasm: about('A WebAssembly module.', object(wasmFields)),
      lua: about(
        'A Lua program.',
        object({ 'inlineCode!': about('Its text.', string({ minLength: 1, maxLength: 65_536 })) }),
      ),
      phase: about('Place among the filters.', oneOf('UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS')),
      priority,
      match,
    },
    { atMostOneOf: [['selector', 'targetRefs']] },
  ),
  'has(self.wasm) != has(self.lua)',
  'expected either wasm or lua',
);

export interface WasmPlugin extends KubeObject {
  readonly spec: TypeOf<typeof wasmSpec>;
  readonly status?: IstioStatus;
}

export interface TrafficExtension extends KubeObject {
  readonly spec: TypeOf<typeof extensionSpec>;
  readonly status?: IstioStatus;
}

const group = { group: 'extensions.istio.io', version: 'v1alpha1', namespaced: true } as const;

export const wasmPluginKind: Kind<WasmPlugin> = { ...group, kind: 'WasmPlugin', plural: 'wasmplugins' };
export const trafficExtensionKind: Kind<TrafficExtension> = {
  ...group,
  kind: 'TrafficExtension',
  plural: 'trafficextensions',
};

export const extensionKinds = [
  istioKind(wasmPluginKind, {
    description: 'A WebAssembly module in proxies.',
    versions: ['v1alpha1'],
    columns: [age],
    spec: wasmSpec,
  }),
  istioKind(trafficExtensionKind, {
    description: 'A program in proxies: WebAssembly or Lua.',
    versions: ['v1alpha1'],
    columns: [age],
    spec: extensionSpec,
  }),
];
