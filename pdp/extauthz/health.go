package extauthz

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// watched is the health service whose watchers are let go when the server drains: they would hold its end up for as long
// as they like.
type watched struct {
	*health.Server
	ended context.Context
	end   context.CancelFunc
}

func newWatched() *watched {
	w := &watched{Server: health.NewServer()}
	w.ended, w.end = context.WithCancel(context.Background())
	return w
}

// Watch implements grpc_health_v1.HealthServer.
func (w *watched) Watch(in *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(w.ended, cancel)()
	return w.Server.Watch(in, watching{stream, ctx})
}

// watching is a watcher's stream that ends with the server too.
type watching struct {
	grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (w watching) Context() context.Context { return w.ctx }
