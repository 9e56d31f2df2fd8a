/** apps/v1, batch/v1, autoscaling/v1 and v2, policy/v1. */

export const apps = `
ControllerRevision: 1 metadata ObjectMeta, 2 data! json, 3 revision int
DaemonSet: 1 metadata ObjectMeta, 2 spec DaemonSetSpec, 3 status DaemonSetStatus
DaemonSetCondition: 1 type, 2 status, 3 lastTransitionTime time, 4 reason, 5 message
DaemonSetSpec: 1 selector?! LabelSelector, 2 template! PodTemplateSpec, 3 updateStrategy DaemonSetUpdateStrategy={},
  4 minReadySeconds int, 6 revisionHistoryLimit? int=10
DaemonSetStatus: 1 currentNumberScheduled! int, 2 numberMisscheduled! int, 3 desiredNumberScheduled! int, 4 numberReady! int,
  5 observedGeneration int, 6 updatedNumberScheduled int, 7 numberAvailable int, 8 numberUnavailable int,
  9 collisionCount? int, 10 conditions []DaemonSetCondition<type>
DaemonSetUpdateStrategy: 1 type (RollingUpdate|OnDelete)=RollingUpdate, 2 rollingUpdate? RollingUpdateDaemonSet
Deployment: 1 metadata ObjectMeta, 2 spec DeploymentSpec, 3 status DeploymentStatus
DeploymentCondition: 1 type, 2 status, 4 reason, 5 message, 6 lastUpdateTime time, 7 lastTransitionTime time
DeploymentSpec: 1 replicas? int=1, 2 selector?! LabelSelector, 3 template! PodTemplateSpec,
  4 strategy DeploymentStrategy<retainKeys>={}, 5 minReadySeconds int, 6 revisionHistoryLimit? int=10, 7 paused bool,
  9 progressDeadlineSeconds? int=600
DeploymentStatus: 1 observedGeneration int, 2 replicas int, 3 updatedReplicas int, 4 availableReplicas int,
  5 unavailableReplicas int, 6 conditions []DeploymentCondition<type>, 7 readyReplicas int, 8 collisionCount? int,
  9 terminatingReplicas? int
DeploymentStrategy: 1 type (Recreate|RollingUpdate)=RollingUpdate, 2 rollingUpdate? RollingUpdateDeployment
ReplicaSet: 1 metadata ObjectMeta, 2 spec ReplicaSetSpec, 3 status ReplicaSetStatus
ReplicaSetCondition: 1 type, 2 status, 3 lastTransitionTime time, 4 reason, 5 message
ReplicaSetSpec: 1 replicas? int=1, 2 selector?! LabelSelector, 3 template PodTemplateSpec, 4 minReadySeconds int
ReplicaSetStatus: 1 replicas! int, 2 fullyLabeledReplicas int, 3 observedGeneration int, 4 readyReplicas int,
  5 availableReplicas int, 6 conditions []ReplicaSetCondition<type>, 7 terminatingReplicas? int
RollingUpdateDaemonSet: 1 maxUnavailable? intstr, 2 maxSurge? intstr
RollingUpdateDeployment: 1 maxUnavailable? intstr, 2 maxSurge? intstr
RollingUpdateStatefulSetStrategy: 1 partition? int, 2 maxUnavailable? intstr
StatefulSet: 1 metadata ObjectMeta, 2 spec StatefulSetSpec, 3 status StatefulSetStatus
StatefulSetCondition: 1 type, 2 status, 3 lastTransitionTime time, 4 reason, 5 message
StatefulSetOrdinals: 1 start int
StatefulSetPersistentVolumeClaimRetentionPolicy: 1 whenDeleted string=Retain, 2 whenScaled string=Retain
StatefulSetSpec: 1 replicas? int=1, 2 selector?! LabelSelector, 3 template! PodTemplateSpec,
  4 volumeClaimTemplates []PersistentVolumeClaim, 5 serviceName, 6 podManagementPolicy (OrderedReady|Parallel)=OrderedReady,
  7 updateStrategy StatefulSetUpdateStrategy={}, 8 revisionHistoryLimit? int=10, 9 minReadySeconds int,
  10 persistentVolumeClaimRetentionPolicy? StatefulSetPersistentVolumeClaimRetentionPolicy={},
  11 ordinals? StatefulSetOrdinals
StatefulSetStatus: 1 observedGeneration int, 2 replicas! int, 3 readyReplicas int, 4 currentReplicas int,
  5 updatedReplicas int, 6 currentRevision, 7 updateRevision, 9 collisionCount? int,
  10 conditions []StatefulSetCondition<type>, 11 availableReplicas int
StatefulSetUpdateStrategy: 1 type (RollingUpdate|OnDelete|Recreate)=RollingUpdate,
  2 rollingUpdate? RollingUpdateStatefulSetStrategy
`;

export const batch = `
CronJob: 1 metadata ObjectMeta, 2 spec CronJobSpec, 3 status CronJobStatus
CronJobSpec: 1 schedule!, 2 startingDeadlineSeconds? int, 3 concurrencyPolicy (Allow|Forbid|Replace)=Allow,
  4 suspend? bool=false, 5 jobTemplate! JobTemplateSpec, 6 successfulJobsHistoryLimit? int=3, 7 failedJobsHistoryLimit? int=1,
  8 timeZone?
CronJobStatus: 1 active []ObjectReference, 4 lastScheduleTime? time, 5 lastSuccessfulTime? time
Job: 1 metadata ObjectMeta, 2 spec JobSpec, 3 status JobStatus
JobCondition: 1 type!, 2 status!, 3 lastProbeTime time, 4 lastTransitionTime time, 5 reason, 6 message
JobSchedulingConfiguration:
JobSpec: 1 parallelism? int, 2 completions? int, 3 activeDeadlineSeconds? int, 4 selector? LabelSelector,
  5 manualSelector? bool, 6 template! PodTemplateSpec, 7 backoffLimit? int=6, 8 ttlSecondsAfterFinished? int,
  9 completionMode? (NonIndexed|Indexed)=NonIndexed, 10 suspend? bool=false, 11 podFailurePolicy? PodFailurePolicy,
  12 backoffLimitPerIndex? int, 13 maxFailedIndexes? int,
  14 podReplacementPolicy? (TerminatingOrFailed|Failed)=TerminatingOrFailed, 15 managedBy?, 16 successPolicy? SuccessPolicy,
  17 scheduling? JobSchedulingConfiguration
JobStatus: 1 conditions []JobCondition<key:type>, 2 startTime? time, 3 completionTime? time, 4 active int, 5 succeeded int,
  6 failed int, 7 completedIndexes, 8 uncountedTerminatedPods? UncountedTerminatedPods, 9 ready? int, 10 failedIndexes?,
  11 terminating? int
JobTemplateSpec: 1 metadata ObjectMeta, 2 spec JobSpec
PodFailurePolicy: 1 rules! []PodFailurePolicyRule
PodFailurePolicyOnExitCodesRequirement: 1 containerName?, 2 operator! (In|NotIn), 3 values! []int<set>
PodFailurePolicyOnPodConditionsPattern: 1 type!, 2 status
PodFailurePolicyRule: 1 action! (FailJob|FailIndex|Ignore|Count), 2 onExitCodes? PodFailurePolicyOnExitCodesRequirement,
  3 onPodConditions []PodFailurePolicyOnPodConditionsPattern
SuccessPolicy: 1 rules! []SuccessPolicyRule
SuccessPolicyRule: 1 succeededIndexes?, 2 succeededCount? int
UncountedTerminatedPods: 1 succeeded []string<set>, 2 failed []string<set>
`;

export const autoscalingV1 = `
CrossVersionObjectReference*: 1 kind!, 2 name!, 3 apiVersion
HorizontalPodAutoscaler: 1 metadata ObjectMeta, 2 spec HorizontalPodAutoscalerSpec, 3 status HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerSpec: 1 scaleTargetRef! CrossVersionObjectReference, 2 minReplicas? int=1, 3 maxReplicas! int,
  4 targetCPUUtilizationPercentage? int
HorizontalPodAutoscalerStatus: 1 observedGeneration? int, 2 lastScaleTime? time, 3 currentReplicas! int,
  4 desiredReplicas! int, 5 currentCPUUtilizationPercentage? int
Scale: 1 metadata ObjectMeta, 2 spec ScaleSpec, 3 status ScaleStatus
ScaleSpec: 1 replicas int
ScaleStatus: 1 replicas! int, 2 selector
`;

export const autoscalingV2 = `
ContainerResourceMetricSource: 1 name!, 2 target! MetricTarget, 3 container!
ContainerResourceMetricStatus: 1 name!, 2 current! MetricValueStatus, 3 container!
CrossVersionObjectReference: 1 kind!, 2 name!, 3 apiVersion
ExternalMetricSource: 1 metric! MetricIdentifier, 2 target! MetricTarget
ExternalMetricStatus: 1 metric! MetricIdentifier, 2 current! MetricValueStatus
HPAScalingPolicy: 1 type!, 2 value! int, 3 periodSeconds! int
HPAScalingRules: 1 selectPolicy?, 2 policies []HPAScalingPolicy, 3 stabilizationWindowSeconds? int, 4 tolerance? quantity
HorizontalPodAutoscaler: 1 metadata ObjectMeta, 2 spec HorizontalPodAutoscalerSpec, 3 status HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerBehavior: 1 scaleUp? HPAScalingRules, 2 scaleDown? HPAScalingRules
HorizontalPodAutoscalerCondition: 1 type!, 2 status!, 3 lastTransitionTime time, 4 reason, 5 message,
  6 observedGeneration? int
HorizontalPodAutoscalerSpec: 1 scaleTargetRef! CrossVersionObjectReference, 2 minReplicas? int=1, 3 maxReplicas! int,
  4 metrics []MetricSpec, 5 behavior? HorizontalPodAutoscalerBehavior
HorizontalPodAutoscalerStatus: 1 observedGeneration? int, 2 lastScaleTime? time, 3 currentReplicas int,
  4 desiredReplicas! int, 5 currentMetrics []MetricStatus, 6 conditions []HorizontalPodAutoscalerCondition<type>
MetricIdentifier: 1 name!, 2 selector? LabelSelector
MetricSpec: 1 type!, 2 object? ObjectMetricSource, 3 pods? PodsMetricSource, 4 resource? ResourceMetricSource,
  5 external? ExternalMetricSource, 7 containerResource? ContainerResourceMetricSource
MetricStatus: 1 type!, 2 object? ObjectMetricStatus, 3 pods? PodsMetricStatus, 4 resource? ResourceMetricStatus,
  5 external? ExternalMetricStatus, 7 containerResource? ContainerResourceMetricStatus
MetricTarget: 1 type!, 2 value? quantity, 3 averageValue? quantity, 4 averageUtilization? int
MetricValueStatus: 1 value? quantity, 2 averageValue? quantity, 3 averageUtilization? int
ObjectMetricSource: 1 describedObject! CrossVersionObjectReference, 2 target! MetricTarget, 3 metric! MetricIdentifier
ObjectMetricStatus: 1 metric! MetricIdentifier, 2 current! MetricValueStatus, 3 describedObject! CrossVersionObjectReference
PodsMetricSource: 1 metric! MetricIdentifier, 2 target! MetricTarget
PodsMetricStatus: 1 metric! MetricIdentifier, 2 current! MetricValueStatus
ResourceMetricSource: 1 name!, 2 target! MetricTarget
ResourceMetricStatus: 1 name!, 2 current! MetricValueStatus
`;

export const policy = `
Eviction: 1 metadata ObjectMeta, 2 deleteOptions? DeleteOptions
PodDisruptionBudget: 1 metadata ObjectMeta, 2 spec PodDisruptionBudgetSpec, 3 status PodDisruptionBudgetStatus
PodDisruptionBudgetSpec: 1 minAvailable? intstr, 2 selector? LabelSelector, 3 maxUnavailable? intstr,
  4 unhealthyPodEvictionPolicy? (IfHealthyBudget|AlwaysAllow)
PodDisruptionBudgetStatus: 1 observedGeneration int, 2 disruptedPods {}time, 3 disruptionsAllowed int, 4 currentHealthy int,
  5 desiredHealthy int, 6 expectedPods int, 7 conditions []Condition<type>
`;
