/**
 * Pods and their template. Fields that no part of Aquifer reads are known here and kept unchecked (`open` and the
 * like), so that a manifest made for a real cluster is accepted and a lab can name what it does not honour.
 */
import { condition, label, names } from './meta.ts';
import {
  boolean,
  integer,
  intOrString,
  list,
  map,
  type ObjectSchema,
  object,
  oneOf,
  open,
  port,
  string,
} from './types.ts';

const strings = list(string());
const portName = string({
  maxLength: 15,
  pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$',
  expects: 'a port name: lower-case letters, digits and "-", at most 15',
});
const keyRef = object({ name: string(), 'key!': string(), optional: boolean });

const env = list(
  object({
    'name!': string({ minLength: 1 }),
    value: string(),
    valueFrom: object(
      {
        fieldRef: object({ apiVersion: string(), 'fieldPath!': string() }),
        configMapKeyRef: keyRef,
        secretKeyRef: keyRef,
        resourceFieldRef: open,
        fileKeyRef: open,
      },
      { atMostOneOf: [['fieldRef', 'configMapKeyRef', 'secretKeyRef', 'resourceFieldRef', 'fileKeyRef']] },
    ),
  }),
);

const handlers = {
  exec: object({ command: strings }),
  httpGet: object({
    path: string(),
    'port!': intOrString,
    host: string(),
    scheme: oneOf('HTTP', 'HTTPS'),
    httpHeaders: list(object({ 'name!': string(), 'value!': string() })),
  }),
  tcpSocket: object({ 'port!': intOrString, host: string() }),
  grpc: object({ 'port!': port, service: string() }),
};

const probe = object(
  {
    ...handlers,
    initialDelaySeconds: integer(0),
    periodSeconds: integer(1),
    timeoutSeconds: integer(1),
    successThreshold: integer(1),
    failureThreshold: integer(1),
    terminationGracePeriodSeconds: integer(1),
  },
  { atMostOneOf: [['exec', 'httpGet', 'tcpSocket', 'grpc']] },
);

const container = object({
  'name!': label,
  image: string(),
  imagePullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  command: strings,
  args: strings,
  workingDir: string(),
  env,
  envFrom: list(open),
  ports: list(
    object({
      name: portName,
      'containerPort!': port,
      protocol: oneOf('TCP', 'UDP', 'SCTP'),
      hostPort: integer(0, 65_535),
      hostIP: string(),
    }),
  ),
  readinessProbe: probe,
  livenessProbe: probe,
  startupProbe: probe,
  volumeMounts: list(
    object({
      'name!': string(),
      'mountPath!': string({ minLength: 1 }),
      readOnly: boolean,
      recursiveReadOnly: string(),
      subPath: string(),
      subPathExpr: string(),
      mountPropagation: string(),
    }),
  ),
  volumeDevices: list(open),
  resources: open,
  resizePolicy: list(open),
  restartPolicy: string(),
  restartPolicyRules: list(open),
  lifecycle: open,
  securityContext: open,
  stdin: boolean,
  stdinOnce: boolean,
  tty: boolean,
  terminationMessagePath: string(),
  terminationMessagePolicy: string(),
});

export const podSpec: ObjectSchema = object({
  'containers!': list(container, { minItems: 1, 'x-kubernetes-list-map-keys': ['name'] }),
  initContainers: list(container, { 'x-kubernetes-list-map-keys': ['name'] }),
  serviceAccountName: names.subdomain,
  serviceAccount: string(),
  automountServiceAccountToken: boolean,
  nodeName: string(),
  nodeSelector: map(string()),
  hostNetwork: boolean,
  hostPID: boolean,
  hostIPC: boolean,
  hostUsers: boolean,
  hostname: label,
  hostnameOverride: string(),
  subdomain: label,
  setHostnameAsFQDN: boolean,
  restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
  terminationGracePeriodSeconds: integer(0),
  activeDeadlineSeconds: integer(1),
  volumes: list(object({ 'name!': label }, { 'x-kubernetes-preserve-unknown-fields': true }), {
    'x-kubernetes-list-map-keys': ['name'],
  }),
  dnsPolicy: oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
  dnsConfig: open,
  hostAliases: list(open),
  securityContext: open,
  imagePullSecrets: list(open),
  affinity: open,
  tolerations: list(open),
  topologySpreadConstraints: list(open),
  schedulerName: string(),
  schedulingGates: list(open),
  priority: integer(),
  priorityClassName: string(),
  preemptionPolicy: string(),
  runtimeClassName: string(),
  readinessGates: list(open),
  overhead: map(intOrString),
  enableServiceLinks: boolean,
  shareProcessNamespace: boolean,
  os: open,
  resources: open,
  resourceClaims: list(open),
  ephemeralContainers: list(open),
});

const containerStatus = object(
  {
    'name!': string(),
    ready: boolean,
    restartCount: integer(0),
    started: boolean,
    image: string(),
    imageID: string(),
    containerID: string(),
    state: open,
    lastState: open,
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
);

export const podStatus: ObjectSchema = object(
  {
    phase: oneOf('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
    podIP: string(),
    podIPs: list(object({ 'ip!': string() })),
    hostIP: string(),
    hostIPs: list(object({ 'ip!': string() })),
    startTime: string(),
    reason: string(),
    message: string(),
    conditions: list(condition),
    containerStatuses: list(containerStatus),
    initContainerStatuses: list(containerStatus),
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
);
