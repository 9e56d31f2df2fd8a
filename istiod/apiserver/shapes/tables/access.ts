/** Groups that say who may do what: rbac, authentication, authorization, certificates, admissionregistration. */

export const rbac = `
AggregationRule: 1 clusterRoleSelectors []LabelSelector
ClusterRole: 1 metadata ObjectMeta, 2 rules []PolicyRule, 3 aggregationRule? AggregationRule
ClusterRoleBinding: 1 metadata ObjectMeta, 2 subjects []Subject, 3 roleRef! RoleRef
PolicyRule: 1 verbs! []string, 2 apiGroups []string, 3 resources []string, 4 resourceNames []string,
  5 nonResourceURLs []string
Role: 1 metadata ObjectMeta, 2 rules []PolicyRule
RoleBinding: 1 metadata ObjectMeta, 2 subjects []Subject, 3 roleRef! RoleRef
RoleRef*: 1 apiGroup, 2 kind!, 3 name!
Subject*: 1 kind!, 2 apiGroup, 3 name!, 4 namespace
`;

export const authentication = `
BoundObjectReference: 1 kind, 2 apiVersion, 3 name, 4 uid
SelfSubjectReview: 1 metadata ObjectMeta, 2 status SelfSubjectReviewStatus
SelfSubjectReviewStatus: 1 userInfo UserInfo
TokenRequest: 1 metadata ObjectMeta, 2 spec TokenRequestSpec, 3 status TokenRequestStatus
TokenRequestSpec: 1 audiences []string, 3 boundObjectRef? BoundObjectReference, 4 expirationSeconds? int=3600,
  5 attestations {}strings
TokenRequestStatus: 1 token, 2 expirationTimestamp time
TokenReview: 1 metadata ObjectMeta, 2 spec! TokenReviewSpec, 3 status TokenReviewStatus
TokenReviewSpec: 1 token, 2 audiences []string
TokenReviewStatus: 1 authenticated bool, 2 user UserInfo, 3 error, 4 audiences []string
UserInfo: 1 username, 2 uid, 3 groups []string, 4 extra {}strings
`;

export const authorization = `
FieldSelectorAttributes: 1 rawSelector, 2 requirements []FieldSelectorRequirement
LabelSelectorAttributes: 1 rawSelector, 2 requirements []LabelSelectorRequirement
LocalSubjectAccessReview: 1 metadata ObjectMeta, 2 spec! SubjectAccessReviewSpec, 3 status SubjectAccessReviewStatus
NonResourceAttributes: 1 path, 2 verb
NonResourceRule: 1 verbs! []string, 2 nonResourceURLs []string
ResourceAttributes: 1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name,
  8 fieldSelector? FieldSelectorAttributes, 9 labelSelector? LabelSelectorAttributes
ResourceRule: 1 verbs! []string, 2 apiGroups []string, 3 resources []string, 4 resourceNames []string
SelfSubjectAccessReview: 1 metadata ObjectMeta, 2 spec! SelfSubjectAccessReviewSpec, 3 status SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec: 1 resourceAttributes? ResourceAttributes, 2 nonResourceAttributes? NonResourceAttributes
SelfSubjectRulesReview: 1 metadata ObjectMeta, 2 spec! SelfSubjectRulesReviewSpec, 3 status SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec: 1 namespace
SubjectAccessReview: 1 metadata ObjectMeta, 2 spec! SubjectAccessReviewSpec, 3 status SubjectAccessReviewStatus
SubjectAccessReviewSpec: 1 resourceAttributes? ResourceAttributes, 2 nonResourceAttributes? NonResourceAttributes, 3 user,
  4 groups []string, 5 extra {}strings, 6 uid
SubjectAccessReviewStatus: 1 allowed! bool, 2 reason, 3 evaluationError, 4 denied bool
SubjectRulesReviewStatus: 1 resourceRules! []ResourceRule, 2 nonResourceRules! []NonResourceRule, 3 incomplete! bool,
  4 evaluationError
`;

export const certificates = `
CertificateSigningRequest: 1 metadata ObjectMeta, 2 spec! CertificateSigningRequestSpec,
  3 status CertificateSigningRequestStatus
CertificateSigningRequestCondition: 1 type!, 2 reason, 3 message, 4 lastUpdateTime time, 5 lastTransitionTime time, 6 status!
CertificateSigningRequestSpec: 1 request! bytes, 2 username, 3 uid, 4 groups []string,
  5 usages [](signing|digital signature|content commitment|key encipherment|key agreement|
    data encipherment|cert sign|crl sign|encipher only|decipher only|any|server auth|client auth|code signing|
    email protection|s/mime|ipsec end system|ipsec tunnel|ipsec user|timestamping|
    ocsp signing|microsoft sgc|netscape sgc),
  6 extra {}strings, 7 signerName!, 8 expirationSeconds? int
CertificateSigningRequestStatus: 1 conditions []CertificateSigningRequestCondition<type>, 2 certificate bytes
ClusterTrustBundle: 1 metadata ObjectMeta, 2 spec! ClusterTrustBundleSpec
ClusterTrustBundleSpec: 1 signerName, 2 trustBundle!
PodCertificateRequest: 1 metadata ObjectMeta, 2 spec! PodCertificateRequestSpec, 3 status PodCertificateRequestStatus
PodCertificateRequestSpec: 1 signerName!, 2 podName!, 3 podUID!, 4 serviceAccountName!, 5 serviceAccountUID!, 6 nodeName!,
  7 nodeUID!, 8 maxExpirationSeconds? int, 11 unverifiedUserAnnotations {}string, 12 stubPKCS10Request! bytes
PodCertificateRequestStatus: 1 conditions []Condition<type>, 2 certificateChain, 4 notBefore? time, 5 beginRefreshAt? time,
  6 notAfter? time
`;

export const admissionregistration = `
ApplyConfiguration: 1 expression
AuditAnnotation: 1 key!, 2 valueExpression!
ExpressionWarning: 2 fieldRef!, 3 warning!
JSONPatch: 1 expression
MatchCondition: 1 name!, 2 expression!
MatchResources*: 1 namespaceSelector? LabelSelector={}, 2 objectSelector? LabelSelector={},
  3 resourceRules []NamedRuleWithOperations, 4 excludeResourceRules []NamedRuleWithOperations,
  7 matchPolicy? (Exact|Equivalent)=Equivalent
MutatingAdmissionPolicy: 1 metadata ObjectMeta, 2 spec MutatingAdmissionPolicySpec
MutatingAdmissionPolicyBinding: 1 metadata ObjectMeta, 2 spec MutatingAdmissionPolicyBindingSpec
MutatingAdmissionPolicyBindingSpec: 1 policyName, 2 paramRef? ParamRef, 3 matchResources? MatchResources
MutatingAdmissionPolicySpec: 1 paramKind? ParamKind, 2 matchConstraints? MatchResources, 3 variables []Variable,
  4 mutations []Mutation, 5 failurePolicy? (Ignore|Fail)=Fail, 6 matchConditions []MatchCondition<name>,
  7 reinvocationPolicy (Never|IfNeeded)
MutatingWebhook: 1 name!, 2 clientConfig! WebhookClientConfig, 3 rules []RuleWithOperations,
  4 failurePolicy? (Ignore|Fail)=Fail, 5 namespaceSelector? LabelSelector={},
  6 sideEffects?! (Unknown|None|Some|NoneOnDryRun), 7 timeoutSeconds? int=10, 8 admissionReviewVersions! []string,
  9 matchPolicy? (Exact|Equivalent)=Equivalent, 10 reinvocationPolicy? (Never|IfNeeded)=Never,
  11 objectSelector? LabelSelector={}, 12 matchConditions []MatchCondition<name>
MutatingWebhookConfiguration: 1 metadata ObjectMeta, 2 webhooks []MutatingWebhook<name>
Mutation: 2 patchType! (ApplyConfiguration|JSONPatch), 3 applyConfiguration? ApplyConfiguration, 4 jsonPatch? JSONPatch
NamedRuleWithOperations*: 1 resourceNames []string, 2 ...RuleWithOperations
ParamKind*: 1 apiVersion, 2 kind
ParamRef*: 1 name, 2 namespace, 3 selector? LabelSelector, 4 parameterNotFoundAction?
Rule: 1 apiGroups []string, 2 apiVersions []string, 3 resources []string, 4 scope? (Cluster|Namespaced|*)=*
RuleWithOperations: 1 operations [](*|CREATE|UPDATE|DELETE|CONNECT), 2 ...Rule
ServiceReference: 1 namespace!, 2 name!, 3 path?, 4 port? int=443
TypeChecking: 1 expressionWarnings []ExpressionWarning
ValidatingAdmissionPolicy: 1 metadata ObjectMeta, 2 spec ValidatingAdmissionPolicySpec,
  3 status ValidatingAdmissionPolicyStatus
ValidatingAdmissionPolicyBinding: 1 metadata ObjectMeta, 2 spec ValidatingAdmissionPolicyBindingSpec
ValidatingAdmissionPolicyBindingSpec: 1 policyName, 2 paramRef? ParamRef, 3 matchResources? MatchResources,
  4 validationActions [](Deny|Warn|Audit)<set>
ValidatingAdmissionPolicySpec: 1 paramKind? ParamKind, 2 matchConstraints? MatchResources, 3 validations []Validation,
  4 failurePolicy? (Ignore|Fail)=Fail, 5 auditAnnotations []AuditAnnotation, 6 matchConditions []MatchCondition<name>,
  7 variables []Variable<name>
ValidatingAdmissionPolicyStatus: 1 observedGeneration int, 2 typeChecking? TypeChecking, 3 conditions []Condition<type>
ValidatingWebhook: 1 name!, 2 clientConfig! WebhookClientConfig, 3 rules []RuleWithOperations,
  4 failurePolicy? (Ignore|Fail)=Fail, 5 namespaceSelector? LabelSelector={},
  6 sideEffects?! (Unknown|None|Some|NoneOnDryRun), 7 timeoutSeconds? int=10, 8 admissionReviewVersions! []string,
  9 matchPolicy? (Exact|Equivalent)=Equivalent, 10 objectSelector? LabelSelector={}, 11 matchConditions []MatchCondition<name>
ValidatingWebhookConfiguration: 1 metadata ObjectMeta, 2 webhooks []ValidatingWebhook<name>
Validation: 1 expression!, 2 message, 3 reason?, 4 messageExpression
Variable*: 1 name!, 2 expression!
WebhookClientConfig: 1 service? ServiceReference, 2 caBundle bytes, 3 url?
`;
