package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// startEtcd starts a single member that only holders of its certificate can
// talk to: loopback alone would let every user of the machine read Secrets.
func (p *plane) startEtcd(ctx context.Context, creds *credentials) (string, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(p.dir, "etcd")
	level := zap.NewAtomicLevelAt(zap.ErrorLevel)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(level))
	// A test cluster does not survive its process, so syncing to disk buys
	// nothing and costs most of the time of a write.
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	// There are no peers, so there is no port for them either.
	cfg.ListenPeerUrls = nil
	listen := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = listen, listen
	cfg.ClientTLSInfo.CertFile = creds.file("etcd.crt")
	cfg.ClientTLSInfo.KeyFile = creds.file("etcd.key")
	cfg.ClientTLSInfo.TrustedCAFile = creds.file("etcd-ca.crt")
	cfg.ClientTLSInfo.ClientCertAuth = true

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", err
	}
	p.stops = append(p.stops, func() {
		// It logs the closing of its own listener as an error.
		level.SetLevel(zap.FatalLevel)
		done := make(chan struct{})
		go func() { defer close(done); etcd.Close() }()
		waitAtMost(done, 3*time.Second)
	})
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		return "", err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	go func() {
		if err, ok := <-etcd.Err(); ok {
			p.fail(fmt.Errorf("etcd ended: %w", err))
		}
	}()
	return "https://" + etcd.Clients[0].Addr().String(), nil
}

// newLogger writes lines for people, as the other components do.
func newLogger(level zap.AtomicLevel) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), level))
}
