// grpc-interop: the server and the client of gRPC's interoperability tests
// (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md), without TLS of their own.
//
//	grpc-interop server PORT
//	grpc-interop client HOST:PORT    runs all cases; a line `ok NAME` for each, exit code 1 at the first that fails
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

type testCase struct {
	name string
	run  func(context.Context, testgrpc.TestServiceClient)
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: grpc-interop server PORT | client HOST:PORT")
	}
	switch os.Args[1] {
	case "server":
		serve(os.Args[2])
	case "client":
		call(os.Args[2])
	default:
		fail("expected server or client")
	}
}

func serve(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail(err.Error())
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	fmt.Println("serving")
	if err := server.Serve(listener); err != nil {
		fail(err.Error())
	}
}

func call(target string) {
	connection, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail(err.Error())
	}
	defer connection.Close()
	client := testgrpc.NewTestServiceClient(connection)
	unimplemented := testgrpc.NewUnimplementedServiceClient(connection)
	plain := func(run func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, testgrpc.TestServiceClient) {
		return func(ctx context.Context, c testgrpc.TestServiceClient) { run(ctx, c) }
	}
	cases := []testCase{
		{"empty_unary", plain(interop.DoEmptyUnaryCall)},
		{"large_unary", plain(interop.DoLargeUnaryCall)},
		{"client_streaming", plain(interop.DoClientStreaming)},
		{"server_streaming", plain(interop.DoServerStreaming)},
		{"ping_pong", plain(interop.DoPingPong)},
		{"empty_stream", plain(interop.DoEmptyStream)},
		{"timeout_on_sleeping_server", plain(interop.DoTimeoutOnSleepingServer)},
		{"cancel_after_begin", plain(interop.DoCancelAfterBegin)},
		{"cancel_after_first_response", plain(interop.DoCancelAfterFirstResponse)},
		{"status_code_and_message", plain(interop.DoStatusCodeAndMessage)},
		{"special_status_message", plain(interop.DoSpecialStatusMessage)},
		{"custom_metadata", plain(interop.DoCustomMetadata)},
		{"unimplemented_method", func(ctx context.Context, _ testgrpc.TestServiceClient) {
			interop.DoUnimplementedMethod(ctx, connection)
		}},
		{"unimplemented_service", func(ctx context.Context, _ testgrpc.TestServiceClient) {
			interop.DoUnimplementedService(ctx, unimplemented)
		}},
	}
	for _, each := range cases {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		// A case that fails ends the process, with the reason on standard error.
		each.run(ctx, client)
		cancel()
		fmt.Println("ok", each.name)
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
