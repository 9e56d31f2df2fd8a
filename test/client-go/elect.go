package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// elect NAMESPACE LEASE IDENTITY stands for election until it is ended; SIGTERM makes it step down.
func elect(ctx context.Context, config *rest.Config, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("elect NAMESPACE LEASE IDENTITY")
	}
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: args[0], Name: args[1]},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: args[2]},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   3 * time.Second,
		RenewDeadline:   2 * time.Second,
		RetryPeriod:     200 * time.Millisecond,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { say(map[string]any{"event": "leads"}) },
			OnStoppedLeading: func() { say(map[string]any{"event": "stopped"}) },
			OnNewLeader:      func(identity string) { say(map[string]any{"event": "leader", "identity": identity}) },
		},
	})
	return nil
}
