/** k8s.io/api/core/v1: everything but pods and volumes. */

export const core = `
AttachedVolume: 1 name!, 2 devicePath!
Binding: 1 metadata ObjectMeta, 2 target! ObjectReference
ClientIPConfig: 1 timeoutSeconds? int
ComponentCondition: 1 type!, 2 status!, 3 message, 4 error
ComponentStatus: 1 metadata ObjectMeta, 2 conditions []ComponentCondition<type>
ConfigMap: 1 metadata ObjectMeta, 2 data {}string, 3 binaryData {}bytes, 4 immutable? bool
ConfigMapNodeConfigSource: 1 namespace!, 2 name!, 3 uid, 4 resourceVersion, 5 kubeletConfigKey!
ContainerImage: 1 names []string, 2 sizeBytes int
DaemonEndpoint: 1 Port! int
EndpointAddress*: 1 ip!, 2 targetRef? ObjectReference, 3 hostname, 4 nodeName?
EndpointPort*: 1 name, 2 port! int, 3 protocol (TCP|UDP|SCTP)=TCP, 4 appProtocol?
EndpointSubset: 1 addresses []EndpointAddress, 2 notReadyAddresses []EndpointAddress, 3 ports []EndpointPort
Endpoints: 1 metadata ObjectMeta, 2 subsets []EndpointSubset
Event: 1 metadata! ObjectMeta, 2 involvedObject! ObjectReference, 3 reason, 4 message, 5 source EventSource,
  6 firstTimestamp time, 7 lastTimestamp time, 8 count int, 9 type, 10 eventTime microtime, 11 series? EventSeries, 12 action,
  13 related? ObjectReference, 14 reportingComponent, 15 reportingInstance
EventSeries: 1 count int, 2 lastObservedTime microtime
EventSource: 1 component, 2 host
LimitRange: 1 metadata ObjectMeta, 2 spec LimitRangeSpec
LimitRangeItem: 1 type!, 2 max {}quantity, 3 min {}quantity, 4 default {}quantity, 5 defaultRequest {}quantity,
  6 maxLimitRequestRatio {}quantity
LimitRangeSpec: 1 limits! []LimitRangeItem
LoadBalancerIngress: 1 ip, 2 hostname, 3 ipMode?, 4 ports []PortStatus
LoadBalancerStatus: 1 ingress []LoadBalancerIngress
Namespace: 1 metadata ObjectMeta, 2 spec NamespaceSpec, 3 status NamespaceStatus
NamespaceCondition: 1 type!, 2 status!, 4 lastTransitionTime time, 5 reason, 6 message
NamespaceSpec: 1 finalizers []string
NamespaceStatus: 1 phase (Active|Terminating), 2 conditions []NamespaceCondition<type>
Node: 1 metadata ObjectMeta, 2 spec NodeSpec, 3 status NodeStatus
NodeAddress: 1 type!, 2 address!
NodeCondition: 1 type!, 2 status!, 3 lastHeartbeatTime time, 4 lastTransitionTime time, 5 reason, 6 message
NodeConfigSource: 2 configMap? ConfigMapNodeConfigSource
NodeConfigStatus: 1 assigned? NodeConfigSource, 2 active? NodeConfigSource, 3 lastKnownGood? NodeConfigSource, 4 error
NodeDaemonEndpoints: 1 kubeletEndpoint DaemonEndpoint
NodeFeatures: 1 supplementalGroupsPolicy? bool
NodePodPreemptionPolicy: 1 disableResizePreemption []string<set>
NodeRuntimeHandler: 1 name, 2 features? NodeRuntimeHandlerFeatures
NodeRuntimeHandlerFeatures: 1 recursiveReadOnlyMounts? bool, 2 userNamespaces? bool
NodeSpec: 1 podCIDR, 2 externalID, 3 providerID, 4 unschedulable bool, 5 taints []Taint, 6 configSource? NodeConfigSource,
  7 podCIDRs []string<set,merge>, 8 podPreemptionPolicy? NodePodPreemptionPolicy
NodeStatus: 1 capacity {}quantity, 2 allocatable {}quantity, 3 phase (Pending|Running|Terminated),
  4 conditions []NodeCondition<type>, 5 addresses []NodeAddress<type>, 6 daemonEndpoints NodeDaemonEndpoints,
  7 nodeInfo NodeSystemInfo, 8 images []ContainerImage, 9 volumesInUse []string, 10 volumesAttached []AttachedVolume,
  11 config? NodeConfigStatus, 12 runtimeHandlers []NodeRuntimeHandler, 13 features? NodeFeatures,
  14 declaredFeatures []string
NodeSwapStatus: 1 capacity? int
NodeSystemInfo: 1 machineID!, 2 systemUUID!, 3 bootID!, 4 kernelVersion!, 5 osImage!, 6 containerRuntimeVersion!,
  7 kubeletVersion!, 8 kubeProxyVersion!, 9 operatingSystem!, 10 architecture!, 11 swap? NodeSwapStatus
PortStatus: 1 port! int, 2 protocol! (TCP|UDP|SCTP), 3 error?
ResourceQuota: 1 metadata ObjectMeta, 2 spec ResourceQuotaSpec, 3 status ResourceQuotaStatus
ResourceQuotaSpec: 1 hard {}quantity,
  2 scopes [](Terminating|NotTerminating|BestEffort|NotBestEffort|PriorityClass|CrossNamespacePodAffinity|VolumeAttributesClass),
  3 scopeSelector? ScopeSelector
ResourceQuotaStatus: 1 hard {}quantity, 2 used {}quantity
ScopeSelector*: 1 matchExpressions []ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement:
  1 scopeName! (Terminating|NotTerminating|BestEffort|NotBestEffort|PriorityClass|CrossNamespacePodAffinity|VolumeAttributesClass),
  2 operator! (In|NotIn|Exists|DoesNotExist), 3 values []string
Secret: 1 metadata ObjectMeta, 2 data {}bytes, 3 type string=Opaque, 4 stringData {}string, 5 immutable? bool
Service: 1 metadata ObjectMeta, 2 spec ServiceSpec, 3 status ServiceStatus
ServiceAccount: 1 metadata ObjectMeta, 2 secrets []ObjectReference<name>, 3 imagePullSecrets []LocalObjectReference,
  4 automountServiceAccountToken? bool
ServicePort: 1 name, 2 protocol (TCP|UDP|SCTP)=TCP, 3 port! int, 4 targetPort intstr, 5 nodePort int, 6 appProtocol?
ServiceSpec: 1 ports []ServicePort<port+protocol,key:port>, 2 selector {}string<atomic>, 3 clusterIP,
  4 type (ClusterIP|NodePort|LoadBalancer|ExternalName)=ClusterIP, 5 externalIPs []string,
  7 sessionAffinity (ClientIP|None)=None, 8 loadBalancerIP, 9 loadBalancerSourceRanges []string, 10 externalName,
  11 externalTrafficPolicy (Cluster|Local), 12 healthCheckNodePort int, 13 publishNotReadyAddresses bool,
  14 sessionAffinityConfig? SessionAffinityConfig, 17 ipFamilyPolicy? (SingleStack|PreferDualStack|RequireDualStack),
  18 clusterIPs []string, 19 ipFamilies [](IPv4|IPv6), 20 allocateLoadBalancerNodePorts? bool, 21 loadBalancerClass?,
  22 internalTrafficPolicy? (Cluster|Local), 23 trafficDistribution?
ServiceStatus: 1 loadBalancer LoadBalancerStatus, 2 conditions []Condition<type>
SessionAffinityConfig: 1 clientIP? ClientIPConfig
Taint: 1 key!, 2 value, 3 effect! (NoSchedule|PreferNoSchedule|NoExecute), 4 timeAdded? time
TopologySelectorLabelRequirement: 1 key!, 2 values! []string
TopologySelectorTerm*: 1 matchLabelExpressions []TopologySelectorLabelRequirement
`;
