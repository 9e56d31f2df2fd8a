/** The pod of which benches make thousands: some 2 kB, as those of a mesh have. */

export interface BenchPod {
  readonly name: string;
  readonly app: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Beside the containers and volumes: where it runs, or who is to decide that. */
  readonly placement: { readonly nodeName: string } | { readonly schedulerName: string };
}

export function benchPod({ name, app, annotations, placement }: BenchPod): object {
  const env = Array.from({ length: 10 }, (_, i) => ({ name: `VARIABLE_${i}`, value: `value-${i}` }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { app, 'pod-template-hash': 'abcdef', version: 'v1' },
      annotations: { ...annotations, note: 'x'.repeat(100) },
    },
    spec: {
      ...placement,
      containers: [
        {
          name: 'main',
          image: 'registry.example/team/app:v1.2.3',
          ports: [{ containerPort: 8080, name: 'http' }],
          env,
          readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
          resources: { requests: { cpu: '100m', memory: '128Mi' } },
          volumeMounts: [{ name: 'config', mountPath: '/etc/app' }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: 'app' } }],
    },
  };
}
