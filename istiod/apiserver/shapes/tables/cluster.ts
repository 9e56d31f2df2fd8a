/** Groups of the cluster: networking, discovery, storage, scheduling, node, coordination, events. */

export const networking = `
HTTPIngressPath: 1 path, 2 backend! IngressBackend, 3 pathType?!
HTTPIngressRuleValue: 1 paths! []HTTPIngressPath
IPAddress: 1 metadata ObjectMeta, 2 spec IPAddressSpec
IPAddressSpec: 1 parentRef? ParentReference
IPBlock: 1 cidr!, 2 except []string
Ingress: 1 metadata ObjectMeta, 2 spec IngressSpec, 3 status IngressStatus
IngressBackend: 3 resource? TypedLocalObjectReference, 4 service? IngressServiceBackend
IngressClass: 1 metadata ObjectMeta, 2 spec IngressClassSpec
IngressClassParametersReference: 1 apiGroup?, 2 kind!, 3 name!, 4 scope?, 5 namespace?
IngressClassSpec: 1 controller, 2 parameters? IngressClassParametersReference
IngressLoadBalancerIngress: 1 ip, 2 hostname, 4 ports []IngressPortStatus
IngressLoadBalancerStatus: 1 ingress []IngressLoadBalancerIngress
IngressPortStatus: 1 port! int, 2 protocol! (TCP|UDP|SCTP), 3 error?
IngressRule: 1 host, 2 ...IngressRuleValue
IngressRuleValue: 1 http? HTTPIngressRuleValue
IngressServiceBackend: 1 name!, 2 port ServiceBackendPort
IngressSpec: 1 defaultBackend? IngressBackend, 2 tls []IngressTLS, 3 rules []IngressRule, 4 ingressClassName?
IngressStatus: 1 loadBalancer IngressLoadBalancerStatus
IngressTLS: 1 hosts []string, 2 secretName
NetworkPolicy: 1 metadata ObjectMeta, 2 spec NetworkPolicySpec
NetworkPolicyEgressRule: 1 ports []NetworkPolicyPort, 2 to []NetworkPolicyPeer
NetworkPolicyIngressRule: 1 ports []NetworkPolicyPort, 2 from []NetworkPolicyPeer
NetworkPolicyPeer: 1 podSelector? LabelSelector, 2 namespaceSelector? LabelSelector, 3 ipBlock? IPBlock
NetworkPolicyPort: 1 protocol? (TCP|UDP|SCTP)=TCP, 2 port? intstr, 3 endPort? int
NetworkPolicySpec: 1 podSelector LabelSelector, 2 ingress []NetworkPolicyIngressRule, 3 egress []NetworkPolicyEgressRule,
  4 policyTypes [](Ingress|Egress)
ParentReference: 1 group, 2 resource, 3 namespace, 4 name
ServiceBackendPort*: 1 name, 2 number int
ServiceCIDR: 1 metadata ObjectMeta, 2 spec ServiceCIDRSpec, 3 status ServiceCIDRStatus
ServiceCIDRSpec: 1 cidrs []string
ServiceCIDRStatus: 1 conditions []Condition<type>
`;

export const discovery = `
Endpoint: 1 addresses! []string<set>, 2 conditions EndpointConditions, 3 hostname?, 4 targetRef? ObjectReference,
  5 deprecatedTopology {}string, 6 nodeName?, 7 zone?, 8 hints? EndpointHints
EndpointConditions: 1 ready? bool, 2 serving? bool, 3 terminating? bool
EndpointHints: 1 forZones []ForZone, 2 forNodes []ForNode
EndpointPort*: 1 name?, 2 protocol? (TCP|UDP|SCTP)=TCP, 3 port? int, 4 appProtocol?
EndpointSlice: 1 metadata ObjectMeta, 2 endpoints []Endpoint, 3 ports []EndpointPort, 4 addressType!
ForNode: 1 name!
ForZone: 1 name!
`;

export const storage = `
CSIDriver: 1 metadata ObjectMeta, 2 spec! CSIDriverSpec
CSIDriverSpec: 1 attachRequired? bool=true, 2 podInfoOnMount? bool=false, 3 volumeLifecycleModes []string<set>,
  4 storageCapacity? bool=false, 5 fsGroupPolicy? string=ReadWriteOnceWithFSType, 6 tokenRequests []TokenRequest,
  7 requiresRepublish? bool=false, 8 seLinuxMount? bool=false, 9 nodeAllocatableUpdatePeriodSeconds? int,
  10 serviceAccountTokenInSecrets? bool, 11 preventPodSchedulingIfMissing? bool
CSINode: 1 metadata ObjectMeta, 2 spec! CSINodeSpec, 3 status CSINodeStatus
CSINodeDriver: 1 name!, 2 nodeID!, 3 topologyKeys []string, 4 allocatable? VolumeNodeResources
CSINodeSpec: 1 drivers! []CSINodeDriver<name>
CSINodeStatus: 1 storageHealth []StorageHealth<name>
CSIStorageCapacity: 1 metadata ObjectMeta, 2 nodeTopology? LabelSelector, 3 storageClassName!, 4 capacity? quantity,
  5 maximumVolumeSize? quantity
StorageClass: 1 metadata ObjectMeta, 2 provisioner!, 3 parameters {}string, 4 reclaimPolicy? (Recycle|Delete|Retain)=Delete,
  5 mountOptions []string, 6 allowVolumeExpansion? bool, 7 volumeBindingMode? (Immediate|WaitForFirstConsumer)=Immediate,
  8 allowedTopologies []TopologySelectorTerm
StorageHealth: 1 name!, 2 healthConditions []StorageHealthCondition
StorageHealthCondition: 1 status! (StorageUnreachable|StorageDegraded), 2 reason!, 3 message,
  4 accessMode? (ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod), 5 volumeMode? (Block|Filesystem),
  6 lastTransitionTime time
TokenRequest: 1 audience!, 2 expirationSeconds? int
VolumeAttachment: 1 metadata ObjectMeta, 2 spec! VolumeAttachmentSpec, 3 status VolumeAttachmentStatus
VolumeAttachmentSource: 1 persistentVolumeName?, 2 inlineVolumeSpec? PersistentVolumeSpec
VolumeAttachmentSpec: 1 attacher!, 2 source! VolumeAttachmentSource, 3 nodeName!
VolumeAttachmentStatus: 1 attached! bool, 2 attachmentMetadata {}string, 3 attachError? VolumeError,
  4 detachError? VolumeError
VolumeAttributesClass: 1 metadata ObjectMeta, 2 driverName!, 3 parameters {}string
VolumeError: 1 time time, 2 message, 3 errorCode? int
VolumeNodeResources: 1 count? int
`;

export const scheduling = `
PriorityClass: 1 metadata ObjectMeta, 2 value int, 3 globalDefault bool, 4 description,
  5 preemptionPolicy? (PreemptLowerPriority|Never)=PreemptLowerPriority
`;

export const node = `
Overhead: 1 podFixed {}quantity
RuntimeClass: 1 metadata ObjectMeta, 2 handler!, 3 overhead? Overhead, 4 scheduling? Scheduling
Scheduling: 1 nodeSelector {}string<atomic>, 2 tolerations []Toleration
`;

export const coordination = `
Lease: 1 metadata ObjectMeta, 2 spec LeaseSpec
LeaseSpec: 1 holderIdentity?, 2 leaseDurationSeconds? int, 3 acquireTime? microtime, 4 renewTime? microtime,
  5 leaseTransitions? int, 6 strategy?, 7 preferredHolder?
`;

export const events = `
Event: 1 metadata ObjectMeta, 2 eventTime! microtime, 3 series? EventSeries, 4 reportingController, 5 reportingInstance,
  6 action, 7 reason, 8 regarding ObjectReference, 9 related? ObjectReference, 10 note, 11 type,
  12 deprecatedSource EventSource, 13 deprecatedFirstTimestamp time, 14 deprecatedLastTimestamp time, 15 deprecatedCount int
EventSeries: 1 count! int, 2 lastObservedTime! microtime
`;
