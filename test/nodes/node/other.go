//go:build !linux

package main

import (
	"errors"

	"github.com/networkstack/networkstack/test/nodes/nodeconfig"
)

var errLinux = errors.New("nodes are made of Linux's namespaces")

func enterGroups(nodeconfig.Config, []byte) error { return errLinux }

func boot(nodeconfig.Config) error { return errLinux }

func runc([]string) error { return errLinux }
