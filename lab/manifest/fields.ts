/** Which fields of pods a lab honours: every field that Kubernetes has is in one of these tables. */
import type { FieldRule, FieldRules } from './problems.ts';

const honoured: FieldRule = { kind: 'honoured' };
const moot = (because: string): FieldRule => ({ kind: 'moot', because });
const refused = (because: string, ...unless: readonly unknown[]): FieldRule => ({ kind: 'refused', because, unless });

const scheduler = moot('the scheduler reads it, before a node does');
const shared = moot("processes of a lab see all of this machine's, in one PID and one IPC namespace");
const oneBuild = moot('a lab has one build of every image, and asks no registry');

export const podFields: FieldRules = {
  containers: honoured,
  initContainers: honoured,
  ephemeralContainers: honoured,
  restartPolicy: honoured,
  terminationGracePeriodSeconds: honoured,
  activeDeadlineSeconds: honoured,
  nodeName: honoured,
  nodeSelector: honoured,
  affinity: scheduler,
  tolerations: scheduler,
  topologySpreadConstraints: scheduler,
  schedulerName: scheduler,
  schedulingGates: scheduler,
  priority: scheduler,
  priorityClassName: scheduler,
  preemptionPolicy: scheduler,
  hostNetwork: honoured,
  hostPID: shared,
  hostIPC: shared,
  shareProcessNamespace: shared,
  hostUsers: refused('there are no user namespaces', true),
  hostname: honoured,
  hostnameOverride: refused('give hostname'),
  subdomain: honoured,
  setHostnameAsFQDN: honoured,
  hostAliases: honoured,
  dnsPolicy: honoured,
  dnsConfig: honoured,
  serviceAccountName: honoured,
  serviceAccount: moot('serviceAccountName says the same'),
  automountServiceAccountToken: moot('the API server adds the volume, or does not'),
  enableServiceLinks: honoured,
  volumes: honoured,
  securityContext: honoured,
  readinessGates: honoured,
  imagePullSecrets: oneBuild,
  runtimeClassName: refused('there is one runtime'),
  overhead: refused('there are no runtime classes', {}),
  os: honoured,
  resources: refused('give resources to its containers', {}),
  resourceClaims: refused('there are no devices to claim', []),
};

export const containerFields: FieldRules = {
  name: honoured,
  image: honoured,
  imagePullPolicy: oneBuild,
  command: honoured,
  args: honoured,
  workingDir: honoured,
  env: honoured,
  envFrom: honoured,
  ports: honoured,
  volumeMounts: honoured,
  volumeDevices: refused('there are no block devices', []),
  readinessProbe: honoured,
  livenessProbe: honoured,
  startupProbe: honoured,
  lifecycle: honoured,
  resources: honoured,
  resizePolicy: moot('limits of a running container do not change'),
  restartPolicy: honoured,
  restartPolicyRules: refused("the pod's restartPolicy holds for all exit codes", []),
  securityContext: honoured,
  stdin: honoured,
  stdinOnce: honoured,
  tty: honoured,
  terminationMessagePath: honoured,
  terminationMessagePolicy: honoured,
};

export const ephemeralFields: FieldRules = { ...containerFields, targetContainerName: shared };

const noModules = (name: string) => refused(`there is no ${name} on its nodes`, {});

export const podSecurityFields: FieldRules = {
  runAsUser: honoured,
  runAsGroup: honoured,
  runAsNonRoot: honoured,
  supplementalGroups: honoured,
  supplementalGroupsPolicy: moot('images name no groups'),
  fsGroup: honoured,
  fsGroupChangePolicy: moot('volumes are as new as their pod'),
  sysctls: honoured,
  seccompProfile: honoured,
  appArmorProfile: moot("the runtime's own may be none, and files of nodes are refused"),
  seLinuxOptions: noModules('SELinux'),
  seLinuxChangePolicy: noModules('SELinux'),
  windowsOptions: noModules('Windows'),
};

export const containerSecurityFields: FieldRules = {
  runAsUser: honoured,
  runAsGroup: honoured,
  runAsNonRoot: honoured,
  allowPrivilegeEscalation: honoured,
  capabilities: honoured,
  privileged: honoured,
  readOnlyRootFilesystem: honoured,
  procMount: moot('nothing of /proc is masked'),
  seccompProfile: honoured,
  appArmorProfile: moot("the runtime's own may be none, and files of nodes are refused"),
  seLinuxOptions: noModules('SELinux'),
  windowsOptions: noModules('Windows'),
};

export const probeFields: FieldRules = {
  httpGet: honoured,
  tcpSocket: honoured,
  exec: honoured,
  grpc: honoured,
  initialDelaySeconds: honoured,
  periodSeconds: honoured,
  timeoutSeconds: honoured,
  successThreshold: honoured,
  failureThreshold: honoured,
  terminationGracePeriodSeconds: honoured,
};

export const mountFields: FieldRules = {
  name: honoured,
  mountPath: honoured,
  readOnly: honoured,
  subPath: honoured,
  subPathExpr: honoured,
  mountPropagation: refused("a container's mounts stay its own", 'None', 'HostToContainer'),
  recursiveReadOnly: refused('give readOnly', 'Disabled', 'IfPossible'),
};

const noStorage = refused('a lab has no volumes but emptyDir, hostPath, configMap, secret, projected and downwardAPI');

export const volumeFields: FieldRules = {
  name: honoured,
  emptyDir: honoured,
  hostPath: honoured,
  configMap: honoured,
  secret: honoured,
  projected: honoured,
  downwardAPI: honoured,
  ...Object.fromEntries(
    [
      ...['persistentVolumeClaim', 'ephemeral', 'csi', 'nfs', 'iscsi', 'fc', 'rbd', 'cephfs', 'glusterfs', 'image'],
      ...['gitRepo', 'flexVolume', 'flocker', 'quobyte', 'portworxVolume', 'scaleIO', 'storageos', 'cinder'],
      ...['awsElasticBlockStore', 'azureDisk', 'azureFile', 'gcePersistentDisk', 'photonPersistentDisk'],
      'vsphereVolume',
    ].map((name) => [name, noStorage]),
  ),
};

/** Of `limits` and `requests`. */
export const limitFields: FieldRules = {
  cpu: honoured,
  memory: honoured,
  'ephemeral-storage': refused('nothing counts what a pod writes'),
};
export const requestFields: FieldRules = {
  cpu: scheduler,
  memory: scheduler,
  'ephemeral-storage': scheduler,
};
