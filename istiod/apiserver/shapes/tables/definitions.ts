/** apiextensions: definitions of custom resources, with their schemas. */
export const apiextensions = `
CustomResourceColumnDefinition: 1 name!, 2 type!, 3 format, 4 description, 5 priority int, 6 jsonPath!
CustomResourceConversion: 1 strategy!, 2 webhook? WebhookConversion
CustomResourceDefinition: 1 metadata ObjectMeta, 2 spec! CustomResourceDefinitionSpec,
  3 status CustomResourceDefinitionStatus
CustomResourceDefinitionCondition: 1 type!, 2 status!, 3 lastTransitionTime time, 4 reason, 5 message,
  6 observedGeneration int
CustomResourceDefinitionNames: 1 plural!, 2 singular, 3 shortNames []string<atomic>, 4 kind!, 5 listKind,
  6 categories []string<atomic>
CustomResourceDefinitionSpec: 1 group!, 3 names! CustomResourceDefinitionNames, 4 scope!,
  7 versions! []CustomResourceDefinitionVersion<atomic>, 9 conversion? CustomResourceConversion, 10 preserveUnknownFields bool
CustomResourceDefinitionStatus: 1 conditions []CustomResourceDefinitionCondition<type>,
  2 acceptedNames CustomResourceDefinitionNames, 3 storedVersions []string<atomic>, 4 observedGeneration int
CustomResourceDefinitionVersion: 1 name!, 2 served! bool, 3 storage! bool, 4 schema? CustomResourceValidation,
  5 subresources? CustomResourceSubresources, 6 additionalPrinterColumns []CustomResourceColumnDefinition<atomic>,
  7 deprecated bool, 8 deprecationWarning?, 9 selectableFields []SelectableField<atomic>
CustomResourceSubresourceScale: 1 specReplicasPath!, 2 statusReplicasPath!, 3 labelSelectorPath?
CustomResourceSubresourceStatus:
CustomResourceSubresources: 1 status? CustomResourceSubresourceStatus, 2 scale? CustomResourceSubresourceScale
CustomResourceValidation: 1 openAPIV3Schema? JSONSchemaProps
ExternalDocumentation: 1 description, 2 url
JSONSchemaProps: 1 id, 2 $schema, 3 $ref?, 4 description, 5 type, 6 format, 7 title, 8 default? json, 9 maximum? double,
  10 exclusiveMaximum bool, 11 minimum? double, 12 exclusiveMinimum bool, 13 maxLength? int, 14 minLength? int, 15 pattern,
  16 maxItems? int, 17 minItems? int, 18 uniqueItems bool, 19 multipleOf? double, 20 enum []json<atomic>, 21 maxProperties? int,
  22 minProperties? int, 23 required []string<atomic>, 24 items? JSONSchemaProps^list, 25 allOf []JSONSchemaProps<atomic>,
  26 oneOf []JSONSchemaProps<atomic>, 27 anyOf []JSONSchemaProps<atomic>, 28 not? JSONSchemaProps,
  29 properties {}JSONSchemaProps, 30 additionalProperties? JSONSchemaProps^bool, 31 patternProperties {}JSONSchemaProps,
  32 dependencies {}JSONSchemaProps^strings, 33 additionalItems? JSONSchemaProps^bool, 34 definitions {}JSONSchemaProps,
  35 externalDocs? ExternalDocumentation, 36 example? json, 37 nullable bool, 38 x-kubernetes-preserve-unknown-fields? bool,
  39 x-kubernetes-embedded-resource bool, 40 x-kubernetes-int-or-string bool, 41 x-kubernetes-list-map-keys []string<atomic>,
  42 x-kubernetes-list-type?, 43 x-kubernetes-map-type?, 44 x-kubernetes-validations []ValidationRule<rule>
SelectableField: 1 jsonPath!
ServiceReference: 1 namespace!, 2 name!, 3 path?, 4 port? int
ValidationRule: 1 rule!, 2 message, 3 messageExpression, 4 reason?, 5 fieldPath, 6 optionalOldSelf? bool
WebhookClientConfig: 1 service? ServiceReference, 2 caBundle bytes, 3 url?
WebhookConversion: 2 clientConfig? WebhookClientConfig, 3 conversionReviewVersions! []string<atomic>
`;
