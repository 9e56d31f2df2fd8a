/** Manifests of the lab's own tests. */
export const namespace = 't';

export const basics = `
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: echo, namespace: ${namespace} }
spec:
  replicas: 2
  selector: { matchLabels: { app: echo } }
  template:
    metadata: { labels: { app: echo } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: echo
          image: aquifer/echo
          ports: [{ name: web, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: web } }
---
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: ${namespace} }
spec:
  selector: { app: echo }
  ipFamilyPolicy: RequireDualStack
  ports:
    - { name: http, port: 80, targetPort: web }
    - { name: stream, port: 90, targetPort: 9090 }
    - { name: datagram, port: 90, targetPort: 9090, protocol: UDP }
---
apiVersion: v1
kind: Service
metadata: { name: each, namespace: ${namespace} }
spec:
  clusterIP: None
  selector: { app: echo }
  ipFamilyPolicy: RequireDualStack
  ports: [{ name: http, port: 8080 }]
---
${tool('near', 'node-1')}
---
${tool('far', 'node-2')}
`;

/** A pod to call from. */
function tool(name: string, node: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  nodeSelector: { kubernetes.io/hostname: ${node} }
  terminationGracePeriodSeconds: 0
  containers: [{ name: tool, image: debian, command: [sleep, infinity] }]`;
}

export const volumes = `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: ${namespace} }
data: { greeting: hello, site: "one\\n" }
---
apiVersion: v1
kind: Secret
metadata: { name: secret, namespace: ${namespace} }
stringData: { password: hunter2 }
---
apiVersion: v1
kind: Pod
metadata: { name: volumes, namespace: ${namespace}, labels: { color: blue } }
spec:
  terminationGracePeriodSeconds: 0
  hostname: chosen
  securityContext: { runAsUser: 1234, runAsGroup: 1234 }
  initContainers:
    - name: first
      image: debian
      command: [sh, -c, "echo $(GREETING) from init > /shared/init"]
      env: [{ name: GREETING, valueFrom: { configMapKeyRef: { name: settings, key: greeting } } }]
      volumeMounts: [{ name: shared, mountPath: /shared }]
  containers:
    - name: main
      image: debian
      command: [sleep, infinity]
      workingDir: /work/here
      env:
        - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
        - { name: ADDRESS, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: BOTH, value: $(NODE)/$(ADDRESS) }
      volumeMounts:
        - { name: shared, mountPath: /shared }
        - { name: settings, mountPath: /etc/app/conf }
        - { name: settings, mountPath: /etc/app/site.txt, subPath: site }
        - { name: secret, mountPath: /secret, readOnly: true }
        - { name: token, mountPath: /var/run/secrets/tokens }
  volumes:
    - { name: shared, emptyDir: {} }
    - { name: settings, configMap: { name: settings } }
    - { name: secret, secret: { secretName: secret } }
    - name: token
      projected:
        sources:
          - serviceAccountToken: { audience: istio-ca, path: istio-token }
          - downwardAPI: { items: [{ path: labels, fieldRef: { fieldPath: metadata.labels } }] }
`;

/** One pod that ends badly again and again, one that may end, and one that is alive as long as a file is there. */
export const endings = `
apiVersion: v1
kind: Pod
metadata: { name: crashing, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: main, image: debian, command: [sh, -c, "echo started; exit 3"] }]
---
apiVersion: v1
kind: Pod
metadata: { name: ending, namespace: ${namespace} }
spec:
  restartPolicy: Never
  containers: [{ name: main, image: debian, command: [sh, -c, "exit 7"] }]
---
apiVersion: v1
kind: Pod
metadata: { name: alive, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: debian
      command: [sh, -c, "touch /tmp/alive /tmp/ready; exec sleep infinity"]
      readinessProbe: { exec: { command: [test, -e, /tmp/ready] }, periodSeconds: 1, failureThreshold: 1 }
      livenessProbe: { exec: { command: [test, -e, /tmp/alive] }, periodSeconds: 1, failureThreshold: 1 }
`;
