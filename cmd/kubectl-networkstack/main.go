// The plugin of kubectl for NetworkStacks, which works without kubectl as well.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/networkstack/networkstack/internal/cli"
)

// version is set at build time.
var version = "dev"

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Options{
		Version: version, Name: os.Args[0], Args: os.Args[1:], Env: os.Getenv,
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
	})
}
