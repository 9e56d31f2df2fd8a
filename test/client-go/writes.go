package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

// deployment wants no pods.
func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	none := int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx:1"}}},
			},
		},
	}
}

// builtIn NAMESPACE writes a Deployment in every way, in protobuf.
func builtIn(ctx context.Context, config *rest.Config, args []string) error {
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	deployments := client.AppsV1().Deployments(args[0])
	made, err := deployments.Create(ctx, deployment("web"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	err = first(
		want("a default", made.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType),
		want("a pod's default", made.Spec.Template.Spec.DNSPolicy, corev1.DNSClusterFirst),
		want("generation", made.Generation, 1),
	)
	if err != nil {
		return err
	}
	stale := made.DeepCopy()
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		current, err := deployments.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		current.Spec.Template.Spec.Containers[0].Image = "nginx:2"
		made, err = deployments.Update(ctx, current, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if _, err = deployments.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		return fmt.Errorf("an update of an old version: %v", err)
	}
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"second","image":"redis"}]}}}}`)
	made, err = deployments.Patch(ctx, "web", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if err = want("containers", len(made.Spec.Template.Spec.Containers), 2); err != nil {
		return err
	}
	scale, err := deployments.GetScale(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = 0
	scale.ResourceVersion = ""
	if _, err = deployments.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err = deployments.Create(ctx, deployment("dry"), dry); err != nil {
		return err
	}
	if _, err = deployments.Get(ctx, "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Errorf("a dry run left something: %v", err)
	}
	other := types.UID("other")
	precondition := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}
	if err = deployments.Delete(ctx, "web", precondition); !apierrors.IsConflict(err) {
		return fmt.Errorf("a deletion of another uid: %v", err)
	}
	return deployments.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=web"})
}

// refusals NAMESPACE: errors are of the types by which programs tell them apart.
func refusals(ctx context.Context, config *rest.Config, args []string) error {
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(args[0])
	one := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
	if _, err = maps.Create(ctx, one, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err = maps.Create(ctx, one, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("a second one of the name: %v", err)
	}
	wrong := deployment("wrong")
	wrong.Spec.Selector.MatchLabels = map[string]string{"app": "other"}
	_, err = client.AppsV1().Deployments(args[0]).Create(ctx, wrong, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueInvalid) {
		return fmt.Errorf("a selector that misses its pods: %v", err)
	}
	cause, _ := apierrors.StatusCause(err, metav1.CauseTypeFieldValueInvalid)
	if err = want("the cause's field", cause.Field, "spec.template.metadata.labels"); err != nil {
		return err
	}
	nobody := rest.CopyConfig(config)
	nobody.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	other, err := kubernetes.NewForConfig(nobody)
	if err != nil {
		return err
	}
	if _, err = other.CoreV1().Secrets(args[0]).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		return fmt.Errorf("nobody reads secrets: %v", err)
	}
	stranger := rest.CopyConfig(config)
	stranger.BearerToken = "wrong"
	other, err = kubernetes.NewForConfig(stranger)
	if err != nil {
		return err
	}
	if _, err = other.CoreV1().Secrets(args[0]).List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		return fmt.Errorf("a wrong token: %v", err)
	}
	return nil
}

// apply NAMESPACE: two managers, a conflict, force, and giving fields up.
func apply(ctx context.Context, config *rest.Config, args []string) error {
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	deployments := client.AppsV1().Deployments(args[0])
	labels := map[string]string{"app": "applied"}
	container := func(image string) *applycore.ContainerApplyConfiguration {
		return applycore.Container().WithName("main").WithImage(image)
	}
	wanted := func(containers ...*applycore.ContainerApplyConfiguration) *applyapps.DeploymentApplyConfiguration {
		return applyapps.Deployment("applied", args[0]).WithSpec(applyapps.DeploymentSpec().
			WithReplicas(0).
			WithSelector(applymeta.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(applycore.PodTemplateSpec().WithLabels(labels).
				WithSpec(applycore.PodSpec().WithContainers(containers...))))
	}
	as := func(manager string, force bool) metav1.ApplyOptions {
		return metav1.ApplyOptions{FieldManager: manager, Force: force}
	}
	if _, err = deployments.Apply(ctx, wanted(container("nginx:1")), as("one", false)); err != nil {
		return err
	}
	if _, err = deployments.Apply(ctx, wanted(container("nginx:2")), as("two", false)); !apierrors.IsConflict(err) {
		return fmt.Errorf("an image of another manager: %v", err)
	}
	if err = want("causes of the conflict", apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict), true); err != nil {
		return err
	}
	if _, err = deployments.Apply(ctx, wanted(container("nginx:2")), as("two", true)); err != nil {
		return err
	}
	both := wanted(container("nginx:2"), applycore.Container().WithName("side").WithImage("redis"))
	now, err := deployments.Apply(ctx, both, as("two", false))
	if err != nil {
		return err
	}
	if err = want("containers", len(now.Spec.Template.Spec.Containers), 2); err != nil {
		return err
	}
	own, err := applyapps.ExtractDeployment(now, "two")
	if err != nil {
		return err
	}
	if err = want("what two owns", len(own.Spec.Template.Spec.Containers), 2); err != nil {
		return err
	}
	if now, err = deployments.Apply(ctx, wanted(container("nginx:2")), as("two", false)); err != nil {
		return err
	}
	if err = want("containers after one is given up", len(now.Spec.Template.Spec.Containers), 1); err != nil {
		return err
	}
	status := applyapps.Deployment("applied", args[0]).WithStatus(applyapps.DeploymentStatus().WithCollisionCount(3))
	if now, err = deployments.ApplyStatus(ctx, status, as("three", true)); err != nil {
		return err
	}
	return want("collisionCount", *now.Status.CollisionCount, 3)
}

// recordEvents NAMESPACE: an event that repeats is counted.
func recordEvents(ctx context.Context, config *rest.Config, args []string) error {
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	made, err := client.CoreV1().ConfigMaps(args[0]).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "told"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	watch, err := client.CoreV1().Events(args[0]).Watch(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=told"})
	if err != nil {
		return err
	}
	defer watch.Stop()
	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events(args[0])})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "client-go"})
	for range 2 {
		recorder.Event(made, corev1.EventTypeNormal, "Told", "said twice")
	}
	for change := range watch.ResultChan() {
		event, ok := change.Object.(*corev1.Event)
		if !ok {
			return fmt.Errorf("no event: %v", change)
		}
		if event.Count == 2 {
			return want("the reason", event.Reason, "Told")
		}
	}
	return fmt.Errorf("the watch ended before the event was counted")
}
