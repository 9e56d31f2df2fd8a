/** What the lab of the image's test has besides the mesh. */

const account = (name: string) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'shop' } });

const deployment = (name: string, node: string, container: object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'shop' },
  spec: {
    selector: { matchLabels: { name } },
    template: {
      metadata: { labels: { name } },
      spec: {
        nodeName: node,
        serviceAccountName: name,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'main', ...container }],
      },
    },
  },
});

export function yaml(items: readonly object[]): string {
  return items.map((item) => JSON.stringify(item)).join('\n---\n');
}

/** A server and a client on different nodes, outside of the mesh. */
export const objects = yaml([
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
  account('web'),
  account('client'),
  deployment('web', 'node-2', {
    image: 'aquifer/echo',
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  }),
  deployment('client', 'node-1', { image: 'curlimages/curl', command: ['sleep', 'infinity'] }),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { selector: { name: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  },
]);

/** A waypoint for the namespace, and a policy at it that refuses a path. */
export const waypoint = yaml([
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'waypoint', namespace: 'shop' },
    spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }] },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', labels: { 'istio.io/use-waypoint': 'waypoint' } },
    spec: { selector: { name: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'no-admin', namespace: 'shop' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'web' }],
      action: 'DENY',
      rules: [{ to: [{ operation: { paths: ['/admin'] } }] }],
    },
  },
]);

/** The securityContext of a pod and of its container. */
export interface Security {
  readonly pod: object | undefined;
  readonly container: object | undefined;
}

export interface OnePod {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly security: Security;
  /** Folder of the machine that it has as /data. */
  readonly data: string | undefined;
}

/** A pod that runs once. */
export function onePod({ name, image, command, security, data }: OnePod): string {
  const mount = { name: 'data', mountPath: '/data' };
  return yaml([
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        restartPolicy: 'Never',
        securityContext: security.pod,
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'main',
            image,
            command,
            securityContext: security.container,
            ...(data !== undefined && { volumeMounts: [mount] }),
          },
        ],
        ...(data !== undefined && { volumes: [{ name: 'data', hostPath: { path: data } }] }),
      },
    },
  ]);
}
