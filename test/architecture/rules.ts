/** Which part may import which (DESIGN 4), each entry with its reason. test/architecture.test.ts keeps them. */

/** What a top-level folder may import besides itself. Folders that are absent here may import anything. */
export const arrows: Readonly<Record<string, { readonly may: readonly string[]; readonly reason: string }>> = {
  common: { may: [], reason: 'what two programs share knows neither of them' },
  native: { may: ['common'], reason: 'the addon offers the kernel, not decisions' },
  ztunnel: { may: ['common', 'native'], reason: 'the proxy can be swapped with the original, alone' },
  waypoint: { may: ['common', 'native'], reason: 'the waypoint can be swapped with Envoy, alone' },
  cni: { may: ['common', 'native'], reason: 'the agent can be swapped with the original, alone' },
  lab: { may: ['common', 'native'], reason: 'the lab starts programs as a node does and shares nothing with them' },
  istiod: {
    may: ['common', 'waypoint'],
    reason: 'the control plane says what a waypoint would decide by the code of ours, and otherwise knows no proxy',
  },
  image: { may: ['common', 'lab'], reason: 'the image takes programs as files, whatever they import' },
  dashboards: { may: [], reason: 'pictures know of the mesh what its metrics tell' },
  cli: {
    may: ['common', 'lab', 'istiod', 'cni', 'waypoint'],
    reason: 'the command line decides with the code that decides, and otherwise uses the programs as a user would',
  },
};

/** Whatever the arrows allow, these must not be reached, not even through others. */
export const unreachable: readonly { readonly from: string; readonly target: string; readonly reason: string }[] = [
  { from: 'ztunnel', target: 'common/kube', reason: 'the proxy sees no Kubernetes: all it knows comes by xDS and ZDS' },
  { from: 'cni', target: 'common/tls', reason: 'the agent is root and must never hold a key' },
  { from: 'cni', target: 'common/hbone', reason: 'the agent steers packets and terminates nothing' },
  {
    from: 'istiod/apiserver',
    target: 'istiod/model',
    reason: 'discovery and the API server are joined by the API alone',
  },
  {
    from: 'istiod/model',
    target: 'istiod/apiserver',
    reason: 'discovery and the API server are joined by the API alone',
  },
  {
    from: 'istiod/xds',
    target: 'istiod/apiserver',
    reason: 'discovery and the API server are joined by the API alone',
  },
  {
    from: 'istiod/envoy',
    target: 'istiod/model',
    reason:
      "Envoys' configuration is made of what it is shown of the mesh, so that who shows it can tell what was looked at",
  },
  ...['apiserver', 'ca', 'deploy', 'envoy', 'model', 'validation', 'xds'].map((part) => ({
    from: `istiod/${part}`,
    target: 'waypoint',
    reason: 'only the console asks what a waypoint decides (istiod/why)',
  })),
  { from: 'cli', target: 'istiod/ca', reason: 'the command line issues nothing' },
  { from: 'cli', target: 'istiod/apiserver/storage', reason: 'objects are read and written through the API alone' },
  { from: 'istiod', target: 'native', reason: 'the control plane runs where no addon is built' },
];

/** Only these production files may read process.env: the configuration of a program, and its first file, which hands it over. */
export const environmentReaders = /(^|\/)config\.ts$|^cli\/|^scripts\/|\/main\.ts$|^ztunnel\/worker\.ts$/;

/** Folders of production code: these may not import test code. */
export const production = ['common', 'native', 'ztunnel', 'waypoint', 'cni', 'lab', 'istiod', 'cli', 'image'];
