package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// packages are what a node, and the images with iptables in them, have of Debian beside its essential packages.
var packages = []string{
	"conntrack", "ethtool", "iproute2", "iptables", "iputils-ping", "kmod", "nftables", "procps", "runc", "tcpdump",
}

// defaultSuite is the release that is taken. MirrorEnv and SuiteEnv name another.
const defaultSuite = "trixie"

// Environment variables that say where Debian's packages come from: a mirror's URL, by default the one that apt has, and a release.
const (
	MirrorEnv = "NETWORKSTACK_E2E_MIRROR"
	SuiteEnv  = "NETWORKSTACK_E2E_SUITE"
)

// debianTree returns a directory with Debian's files, made once: debootstrap, which is unpacked and not installed, does it.
func debianTree(ctx context.Context, cache string, progress io.Writer) (string, error) {
	suite := os.Getenv(SuiteEnv)
	if suite == "" {
		suite = defaultSuite
	}
	tree := filepath.Join(cache, "debian-"+suite+"-"+digest(packages...))
	if _, err := os.Stat(filepath.Join(tree, "usr", "sbin", "runc")); err == nil {
		return tree, nil
	}
	mirror, err := mirrorOf(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "making a file system of Debian %s; this is done once\n", suite)
	work := tree + ".new"
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(work, 0o755)); err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = work
		// It mounts into the tree, and shall not do so in the machine's own namespace.
		cmd.SysProcAttr = isolatedMounts()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, lastLines(out, 15))
		}
		return nil
	}
	if err := run("apt-get", "-o", "APT::Sandbox::User=root", "download", "debootstrap"); err != nil {
		return "", fmt.Errorf("%w\napt knows no package debootstrap: run apt-get update", err)
	}
	archives, err := filepath.Glob(filepath.Join(work, "debootstrap_*.deb"))
	if err != nil || len(archives) != 1 {
		return "", fmt.Errorf("apt-get download left %d archives of debootstrap: %w", len(archives), err)
	}
	if err := run("dpkg-deb", "-x", archives[0], "tool"); err != nil {
		return "", err
	}
	if err := run("env", "DEBOOTSTRAP_DIR="+filepath.Join(work, "tool", "usr", "share", "debootstrap"),
		filepath.Join(work, "tool", "usr", "sbin", "debootstrap"), "--variant=minbase", "--include="+strings.Join(packages, ","),
		suite, filepath.Join(work, "tree"), mirror); err != nil {
		return "", err
	}
	for _, pattern := range []string{"var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/locale/*"} {
		files, err := filepath.Glob(filepath.Join(work, "tree", pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				return "", err
			}
		}
	}
	return tree, os.Rename(filepath.Join(work, "tree"), tree)
}

// mirrorOf is where apt has Debian's packages from.
func mirrorOf(ctx context.Context) (string, error) {
	if mirror := os.Getenv(MirrorEnv); mirror != "" {
		return mirror, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(CREATED_BY) $(SITE)").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	mirror, ok := parseMirror(string(out))
	if !ok {
		return "", fmt.Errorf("apt has no source of Debian's packages: set %s to the URL of a mirror", MirrorEnv)
	}
	return mirror, nil
}

// parseMirror finds the first source of packages whose path is that of Debian's archive.
func parseMirror(targets string) (string, bool) {
	for line := range strings.Lines(targets) {
		kind, site, _ := strings.Cut(strings.TrimSpace(line), " ")
		if site = strings.TrimSuffix(site, "/"); kind == "Packages" && strings.HasSuffix(site, "/debian") {
			return site, true
		}
	}
	return "", false
}

func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func isolatedMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
}
