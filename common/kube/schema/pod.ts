/**
 * Pods and their template. Fields that no part of Aquifer reads are known here and kept unchecked (`open` and the
 * like), so that a manifest made for a real cluster is accepted and a lab can name what it does not honour.
 */
import { conditions, label, names } from './meta.ts';
import {
  boolean,
  integer,
  intOrString,
  list,
  looseMergeList,
  map,
  mergeList,
  type ObjectSchema,
  object,
  oneOf,
  open,
  port,
  string,
  withDefault,
} from './types.ts';

const strings = list(string());
const portName = string({
  maxLength: 15,
  pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$',
  expects: 'a port name: lower-case letters, digits and "-", at most 15',
});
const keyRef = object({ name: string(), 'key!': string(), optional: boolean });

const env = looseMergeList(
  object({
    'name!': string({ minLength: 1 }),
    value: string(),
    valueFrom: object(
      {
        fieldRef: object({ apiVersion: withDefault(string(), 'v1'), 'fieldPath!': string() }),
        configMapKeyRef: keyRef,
        secretKeyRef: keyRef,
        resourceFieldRef: open,
        fileKeyRef: open,
      },
      { atMostOneOf: [['fieldRef', 'configMapKeyRef', 'secretKeyRef', 'resourceFieldRef', 'fileKeyRef']] },
    ),
  }),
  'name',
);

const handlers = {
  exec: object({ command: strings }),
  httpGet: object({
    path: withDefault(string(), '/'),
    'port!': intOrString,
    host: string(),
    scheme: withDefault(oneOf('HTTP', 'HTTPS'), 'HTTP'),
    httpHeaders: list(object({ 'name!': string(), 'value!': string() })),
  }),
  tcpSocket: object({ 'port!': intOrString, host: string() }),
  grpc: object({ 'port!': port, service: string() }),
};

const probe = object(
  {
    ...handlers,
    initialDelaySeconds: integer(0),
    periodSeconds: withDefault(integer(1), 10),
    timeoutSeconds: withDefault(integer(1), 1),
    successThreshold: withDefault(integer(1), 1),
    failureThreshold: withDefault(integer(1), 3),
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
  ports: looseMergeList(
    object({
      name: portName,
      'containerPort!': port,
      protocol: withDefault(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
      hostPort: integer(0, 65_535),
      hostIP: string(),
    }),
    'containerPort',
    ['containerPort', 'protocol'],
  ),
  readinessProbe: probe,
  livenessProbe: probe,
  startupProbe: probe,
  volumeMounts: mergeList(
    object({
      'name!': string(),
      'mountPath!': string({ minLength: 1 }),
      readOnly: boolean,
      recursiveReadOnly: string(),
      subPath: string(),
      subPathExpr: string(),
      mountPropagation: string(),
    }),
    'mountPath',
  ),
  volumeDevices: mergeList(open, 'devicePath'),
  resources: withDefault(open, {}),
  resizePolicy: list(open),
  restartPolicy: string(),
  restartPolicyRules: list(open),
  lifecycle: open,
  securityContext: open,
  stdin: boolean,
  stdinOnce: boolean,
  tty: boolean,
  terminationMessagePath: withDefault(string(), '/dev/termination-log'),
  terminationMessagePolicy: withDefault(string(), 'File'),
});

export const podSpec: ObjectSchema = object({
  'containers!': { ...mergeList(container, 'name'), minItems: 1 },
  initContainers: mergeList(container, 'name'),
  // Empty is as good as absent: many charts write it.
  serviceAccountName: { ...names.subdomain, pattern: `^$|${names.subdomain.pattern}` },
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
  restartPolicy: withDefault(oneOf('Always', 'OnFailure', 'Never'), 'Always'),
  terminationGracePeriodSeconds: withDefault(integer(0), 30),
  activeDeadlineSeconds: integer(1),
  volumes: {
    ...mergeList(object({ 'name!': label }, { 'x-kubernetes-preserve-unknown-fields': true }), 'name'),
    'x-kubernetes-patch-strategy': 'merge,retainKeys',
  },
  dnsPolicy: withDefault(oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'), 'ClusterFirst'),
  dnsConfig: open,
  hostAliases: mergeList(open, 'ip'),
  securityContext: withDefault(open, {}),
  imagePullSecrets: mergeList(open, 'name'),
  affinity: open,
  tolerations: list(open),
  topologySpreadConstraints: mergeList(open, 'topologyKey', ['topologyKey', 'whenUnsatisfiable']),
  schedulerName: withDefault(string(), 'default-scheduler'),
  schedulingGates: mergeList(open, 'name'),
  priority: integer(),
  priorityClassName: string(),
  preemptionPolicy: string(),
  runtimeClassName: string(),
  readinessGates: list(open),
  overhead: map(intOrString),
  enableServiceLinks: withDefault(boolean, true),
  shareProcessNamespace: boolean,
  os: open,
  resources: open,
  resourceClaims: mergeList(open, 'name'),
  ephemeralContainers: mergeList(open, 'name'),
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
    podIPs: mergeList(object({ 'ip!': string() }), 'ip'),
    hostIP: string(),
    hostIPs: mergeList(object({ 'ip!': string() }), 'ip'),
    startTime: string(),
    reason: string(),
    message: string(),
    conditions,
    containerStatuses: list(containerStatus),
    initContainerStatuses: list(containerStatus),
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
);
