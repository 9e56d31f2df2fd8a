/** k8s.io/api/core/v1: pods, without their volumes. */

export const corePods = `
Affinity: 1 nodeAffinity? NodeAffinity, 2 podAffinity? PodAffinity, 3 podAntiAffinity? PodAntiAffinity
AppArmorProfile: 1 type! (Unconfined|RuntimeDefault|Localhost), 2 localhostProfile?
Capabilities: 1 add []string, 2 drop []string
ConfigMapEnvSource: 1 ...LocalObjectReference, 2 optional? bool
ConfigMapKeySelector*: 1 ...LocalObjectReference, 2 key!, 3 optional? bool
Container: 1 name!, 2 image, 3 command []string, 4 args []string, 5 workingDir,
  6 ports []ContainerPort<containerPort+protocol,key:containerPort>, 7 env []EnvVar<name>,
  8 resources ResourceRequirements={}, 9 volumeMounts []VolumeMount<mountPath>, 10 livenessProbe? Probe,
  11 readinessProbe? Probe, 12 lifecycle? Lifecycle, 13 terminationMessagePath string=/dev/termination-log,
  14 imagePullPolicy (Always|Never|IfNotPresent), 15 securityContext? SecurityContext, 16 stdin bool, 17 stdinOnce bool,
  18 tty bool, 19 envFrom []EnvFromSource, 20 terminationMessagePolicy (File|FallbackToLogsOnError)=File,
  21 volumeDevices []VolumeDevice<devicePath>, 22 startupProbe? Probe, 23 resizePolicy []ContainerResizePolicy,
  24 restartPolicy?, 25 restartPolicyRules []ContainerRestartRule
ContainerExtendedResourceRequest: 1 containerName!, 2 resourceName!, 3 requestName!
ContainerPort: 1 name, 2 hostPort int, 3 containerPort! int, 4 protocol (TCP|UDP|SCTP)=TCP, 5 hostIP
ContainerResizePolicy: 1 resourceName!, 2 restartPolicy!
ContainerRestartRule: 1 action, 2 exitCodes? ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: 1 operator, 2 values []int<set>
ContainerState: 1 waiting? ContainerStateWaiting, 2 running? ContainerStateRunning, 3 terminated? ContainerStateTerminated
ContainerStateRunning: 1 startedAt time
ContainerStateTerminated: 1 exitCode! int, 2 signal int, 3 reason, 4 message, 5 startedAt time, 6 finishedAt time,
  7 containerID
ContainerStateWaiting: 1 reason, 2 message
ContainerStatus: 1 name!, 2 state ContainerState, 3 lastState ContainerState, 4 ready! bool, 5 restartCount! int, 6 image!,
  7 imageID!, 8 containerID, 9 started? bool, 10 allocatedResources {}quantity, 11 resources? ResourceRequirements,
  12 volumeMounts []VolumeMountStatus<mountPath>, 13 user? ContainerUser, 14 allocatedResourcesStatus []ResourceStatus<name>,
  15 stopSignal? (SIGABRT|SIGALRM|SIGBUS|SIGCHLD|SIGCLD|SIGCONT|SIGFPE|SIGHUP|SIGILL|SIGINT|SIGIO|SIGIOT|SIGKILL|SIGPIPE|SIGPOLL|SIGPROF|SIGPWR|SIGQUIT|SIGSEGV|SIGSTKFLT|SIGSTOP|SIGSYS|SIGTERM|SIGTRAP|SIGTSTP|SIGTTIN|SIGTTOU|SIGURG|SIGUSR1|SIGUSR2|SIGVTALRM|SIGWINCH|SIGXCPU|SIGXFSZ|SIGRTMIN|SIGRTMIN+1|SIGRTMIN+2|SIGRTMIN+3|SIGRTMIN+4|SIGRTMIN+5|SIGRTMIN+6|SIGRTMIN+7|SIGRTMIN+8|SIGRTMIN+9|SIGRTMIN+10|SIGRTMIN+11|SIGRTMIN+12|SIGRTMIN+13|SIGRTMIN+14|SIGRTMIN+15|SIGRTMAX-14|SIGRTMAX-13|SIGRTMAX-12|SIGRTMAX-11|SIGRTMAX-10|SIGRTMAX-9|SIGRTMAX-8|SIGRTMAX-7|SIGRTMAX-6|SIGRTMAX-5|SIGRTMAX-4|SIGRTMAX-3|SIGRTMAX-2|SIGRTMAX-1|SIGRTMAX)
ContainerUser: 1 linux? LinuxContainerUser
EnvFromSource: 1 prefix, 2 configMapRef? ConfigMapEnvSource, 3 secretRef? SecretEnvSource
EnvVar: 1 name!, 2 value, 3 valueFrom? EnvVarSource
EnvVarSource: 1 fieldRef? ObjectFieldSelector, 2 resourceFieldRef? ResourceFieldSelector,
  3 configMapKeyRef? ConfigMapKeySelector, 4 secretKeyRef? SecretKeySelector, 5 fileKeyRef? FileKeySelector
EphemeralContainer: 1 ...EphemeralContainerCommon, 2 targetContainerName
EphemeralContainerCommon: 1 name!, 2 image, 3 command []string, 4 args []string, 5 workingDir,
  6 ports []ContainerPort<containerPort+protocol,key:containerPort>, 7 env []EnvVar<name>,
  8 resources ResourceRequirements={}, 9 volumeMounts []VolumeMount<mountPath>, 10 livenessProbe? Probe,
  11 readinessProbe? Probe, 12 lifecycle? Lifecycle, 13 terminationMessagePath string=/dev/termination-log,
  14 imagePullPolicy (Always|Never|IfNotPresent), 15 securityContext? SecurityContext, 16 stdin bool, 17 stdinOnce bool,
  18 tty bool, 19 envFrom []EnvFromSource, 20 terminationMessagePolicy (File|FallbackToLogsOnError)=File,
  21 volumeDevices []VolumeDevice<devicePath>, 22 startupProbe? Probe, 23 resizePolicy []ContainerResizePolicy,
  24 restartPolicy?, 25 restartPolicyRules []ContainerRestartRule
EvictionResponder*: 1 name!, 2 priority?! int
ExecAction: 1 command []string
FileKeySelector*: 1 volumeName!, 2 path!, 3 key!, 4 optional? bool
GRPCAction: 1 port! int, 2 service? string="", 3 mode? (Plaintext|TLS)
HTTPGetAction: 1 path string=/, 2 port! intstr, 3 host, 4 scheme (HTTP|HTTPS)=HTTP, 5 httpHeaders []HTTPHeader,
  6 protocol? (HTTP1|HTTP2)
HTTPHeader: 1 name!, 2 value!
HostAlias: 1 ip!, 2 hostnames []string
HostIP: 1 ip!
ImageVolumeStatus: 1 imageRef
Lifecycle: 1 postStart? LifecycleHandler, 2 preStop? LifecycleHandler,
  3 stopSignal? (SIGABRT|SIGALRM|SIGBUS|SIGCHLD|SIGCLD|SIGCONT|SIGFPE|SIGHUP|SIGILL|SIGINT|SIGIO|SIGIOT|SIGKILL|SIGPIPE|SIGPOLL|SIGPROF|SIGPWR|SIGQUIT|SIGSEGV|SIGSTKFLT|SIGSTOP|SIGSYS|SIGTERM|SIGTRAP|SIGTSTP|SIGTTIN|SIGTTOU|SIGURG|SIGUSR1|SIGUSR2|SIGVTALRM|SIGWINCH|SIGXCPU|SIGXFSZ|SIGRTMIN|SIGRTMIN+1|SIGRTMIN+2|SIGRTMIN+3|SIGRTMIN+4|SIGRTMIN+5|SIGRTMIN+6|SIGRTMIN+7|SIGRTMIN+8|SIGRTMIN+9|SIGRTMIN+10|SIGRTMIN+11|SIGRTMIN+12|SIGRTMIN+13|SIGRTMIN+14|SIGRTMIN+15|SIGRTMAX-14|SIGRTMAX-13|SIGRTMAX-12|SIGRTMAX-11|SIGRTMAX-10|SIGRTMAX-9|SIGRTMAX-8|SIGRTMAX-7|SIGRTMAX-6|SIGRTMAX-5|SIGRTMAX-4|SIGRTMAX-3|SIGRTMAX-2|SIGRTMAX-1|SIGRTMAX)
LifecycleHandler: 1 exec? ExecAction, 2 httpGet? HTTPGetAction, 3 tcpSocket? TCPSocketAction, 4 sleep? SleepAction
LinuxContainerUser: 1 uid! int, 2 gid! int, 3 supplementalGroups []int
NodeAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution? NodeSelector,
  2 preferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm
NodeAllocatableMappedResources: 1 name!, 2 quantity?! quantity
NodeAllocatableOverheadResources: 1 name!, 2 perPod? quantity, 3 perContainer? quantity
NodeAllocatableResourceClaimStatus: 1 resourceClaimName!, 2 containers []string<set>,
  4 mapping []NodeAllocatableMappedResources<name>, 5 overhead []NodeAllocatableOverheadResources<name>
Pod: 1 metadata ObjectMeta, 2 spec PodSpec, 3 status PodStatus
PodAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm,
  2 preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
PodAffinityTerm: 1 labelSelector? LabelSelector, 2 namespaces []string, 3 topologyKey!, 4 namespaceSelector? LabelSelector,
  5 matchLabelKeys []string, 6 mismatchLabelKeys []string
PodAntiAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm,
  2 preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
PodCondition: 1 type!, 2 status!, 3 lastProbeTime time, 4 lastTransitionTime time, 5 reason, 6 message,
  7 observedGeneration int
PodDNSConfig: 1 nameservers []string, 2 searches []string, 3 options []PodDNSConfigOption
PodDNSConfigOption: 1 name, 2 value?
PodExtendedResourceClaimStatus: 1 requestMappings! []ContainerExtendedResourceRequest, 2 resourceClaimName!
PodIP: 1 ip!
PodOS: 1 name!
PodReadinessGate: 1 conditionType!
PodResourceClaim: 1 name!, 3 resourceClaimName?, 4 resourceClaimTemplateName?
PodResourceClaimStatus: 1 name!, 2 resourceClaimName?
PodSchedulingGate: 1 name!
PodSchedulingGroup: 1 podGroupName?
PodSecurityContext: 1 seLinuxOptions? SELinuxOptions, 2 runAsUser? int, 3 runAsNonRoot? bool, 4 supplementalGroups []int,
  5 fsGroup? int, 6 runAsGroup? int, 7 sysctls []Sysctl, 8 windowsOptions? WindowsSecurityContextOptions,
  9 fsGroupChangePolicy? (OnRootMismatch|Always), 10 seccompProfile? SeccompProfile, 11 appArmorProfile? AppArmorProfile,
  12 supplementalGroupsPolicy? (Merge|Strict), 13 seLinuxChangePolicy?
PodSpec: 1 volumes []Volume<name,retainKeys>, 2 containers! []Container<name>,
  3 restartPolicy (Always|OnFailure|Never)=Always, 4 terminationGracePeriodSeconds? int=30, 5 activeDeadlineSeconds? int,
  6 dnsPolicy (ClusterFirstWithHostNet|ClusterFirst|Default|None)=ClusterFirst, 7 nodeSelector {}string<atomic>,
  8 serviceAccountName, 9 serviceAccount, 10 nodeName, 11 hostNetwork bool, 12 hostPID bool, 13 hostIPC bool,
  14 securityContext? PodSecurityContext={}, 15 imagePullSecrets []LocalObjectReference<name>, 16 hostname, 17 subdomain,
  18 affinity? Affinity, 19 schedulerName string=default-scheduler, 20 initContainers []Container<name>,
  21 automountServiceAccountToken? bool, 22 tolerations []Toleration, 23 hostAliases []HostAlias<ip>, 24 priorityClassName,
  25 priority? int, 26 dnsConfig? PodDNSConfig, 27 shareProcessNamespace? bool, 28 readinessGates []PodReadinessGate,
  29 runtimeClassName?, 30 enableServiceLinks? bool=true, 31 preemptionPolicy? (PreemptLowerPriority|Never),
  32 overhead {}quantity,
  33 topologySpreadConstraints []TopologySpreadConstraint<topologyKey+whenUnsatisfiable,key:topologyKey>,
  34 ephemeralContainers []EphemeralContainer<name>, 35 setHostnameAsFQDN? bool, 36 os? PodOS, 37 hostUsers? bool,
  38 schedulingGates []PodSchedulingGate<name>, 39 resourceClaims []PodResourceClaim<name,retainKeys>,
  40 resources? ResourceRequirements, 41 hostnameOverride?, 43 schedulingGroup? PodSchedulingGroup,
  44 evictionResponders []EvictionResponder<name>
PodStatus: 1 phase (Pending|Running|Succeeded|Failed|Unknown), 2 conditions []PodCondition<type>, 3 message, 4 reason,
  5 hostIP, 6 podIP, 7 startTime? time, 8 containerStatuses []ContainerStatus, 9 qosClass (Guaranteed|Burstable|BestEffort),
  10 initContainerStatuses []ContainerStatus, 11 nominatedNodeName, 12 podIPs []PodIP<ip>,
  13 ephemeralContainerStatuses []ContainerStatus, 14 resize,
  15 resourceClaimStatuses []PodResourceClaimStatus<name,retainKeys>, 16 hostIPs []HostIP<key:ip>, 17 observedGeneration int,
  18 extendedResourceClaimStatus? PodExtendedResourceClaimStatus, 19 allocatedResources {}quantity,
  20 resources? ResourceRequirements,
  21 nodeAllocatableResourceClaimStatuses []NodeAllocatableResourceClaimStatus<resourceClaimName>,
  22 volumeHealth []PodVolumeHealth<name>
PodTemplate: 1 metadata ObjectMeta, 2 template PodTemplateSpec
PodTemplateSpec: 1 metadata ObjectMeta, 2 spec PodSpec
PodVolumeHealth: 1 name!, 2 healthConditions []VolumeHealthCondition<status+reason,key:status>, 3 lastTransitionTime time
PreferredSchedulingTerm: 1 weight! int, 2 preference! NodeSelectorTerm
Probe: 1 ...ProbeHandler, 2 initialDelaySeconds int, 3 timeoutSeconds int=1, 4 periodSeconds int=10, 5 successThreshold int=1,
  6 failureThreshold int=3, 7 terminationGracePeriodSeconds? int
ProbeHandler: 1 exec? ExecAction, 2 httpGet? HTTPGetAction, 3 tcpSocket? TCPSocketAction, 4 grpc? GRPCAction
ReplicationController: 1 metadata ObjectMeta, 2 spec ReplicationControllerSpec, 3 status ReplicationControllerStatus
ReplicationControllerCondition: 1 type!, 2 status!, 3 lastTransitionTime time, 4 reason, 5 message
ReplicationControllerSpec: 1 replicas? int=1, 2 selector {}string<atomic>, 3 template? PodTemplateSpec, 4 minReadySeconds int
ReplicationControllerStatus: 1 replicas! int, 2 fullyLabeledReplicas int, 3 observedGeneration int, 4 readyReplicas int,
  5 availableReplicas int, 6 conditions []ReplicationControllerCondition<type>
ResourceClaim: 1 name!, 2 request
ResourceHealth: 1 resourceID!, 2 health, 6 message?
ResourceRequirements: 1 limits {}quantity, 2 requests {}quantity, 3 claims []ResourceClaim<name>
ResourceStatus: 1 name!, 2 resources []ResourceHealth<resourceID>
SELinuxOptions: 1 user, 2 role, 3 type, 4 level
SeccompProfile: 1 type! (Unconfined|RuntimeDefault|Localhost), 2 localhostProfile?
SecretEnvSource: 1 ...LocalObjectReference, 2 optional? bool
SecretKeySelector*: 1 ...LocalObjectReference, 2 key!, 3 optional? bool
SecurityContext: 1 capabilities? Capabilities, 2 privileged? bool, 3 seLinuxOptions? SELinuxOptions, 4 runAsUser? int,
  5 runAsNonRoot? bool, 6 readOnlyRootFilesystem? bool, 7 allowPrivilegeEscalation? bool, 8 runAsGroup? int,
  9 procMount? (Default|Unmasked), 10 windowsOptions? WindowsSecurityContextOptions, 11 seccompProfile? SeccompProfile,
  12 appArmorProfile? AppArmorProfile
SleepAction: 1 seconds! int
Sysctl: 1 name!, 2 value!
TCPSocketAction: 1 port! intstr, 2 host
Toleration: 1 key, 2 operator (Exists|Equal|Lt|Gt), 3 value, 4 effect (NoSchedule|PreferNoSchedule|NoExecute),
  5 tolerationSeconds? int
TopologySpreadConstraint: 1 maxSkew! int, 2 topologyKey!, 3 whenUnsatisfiable! (DoNotSchedule|ScheduleAnyway),
  4 labelSelector? LabelSelector, 5 minDomains? int, 6 nodeAffinityPolicy? (Ignore|Honor), 7 nodeTaintsPolicy? (Ignore|Honor),
  8 matchLabelKeys []string
VolumeDevice: 1 name!, 2 devicePath!
VolumeMount: 1 name!, 2 readOnly bool, 3 mountPath!, 4 subPath, 5 mountPropagation? (None|HostToContainer|Bidirectional),
  6 subPathExpr, 7 recursiveReadOnly?, 8 bindMountOptions []string<set>
VolumeMountStatus: 1 name!, 2 mountPath!, 3 readOnly bool, 4 recursiveReadOnly?, 5 volumeStatus? VolumeStatus
VolumeStatus: 1 image? ImageVolumeStatus
WeightedPodAffinityTerm: 1 weight! int, 2 podAffinityTerm! PodAffinityTerm
WindowsSecurityContextOptions: 1 gmsaCredentialSpecName?, 2 gmsaCredentialSpec?, 3 runAsUserName?, 4 hostProcess? bool
`;
