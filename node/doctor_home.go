package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// Examine says what can be said of a home while no node runs on it. It changes
// nothing, takes no lock and reads no secret but the key, to see that it is one.
func Examine(cfg Config) view.Doctor {
	var f findings
	if examineHome(&f, cfg.Home) {
		examineSecrets(&f, cfg.Home)
		examineGenesis(&f, cfg.Home, time.Now())
		if exists(filepath.Join(cfg.Home, suspectFile)) {
			f.warn("store", cure{"start it: the store is looked at first", "sage-p2p up"}, "the last run ended in the middle of opening it, or found damage")
		}
	}
	examinePorts(&f, cfg)
	examineInterfaces(&f)
	dir := cfg.Home
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	s := symptoms{keyFile: filepath.Join(dir, signer.KeyFile)}
	s.free, s.size, s.diskErr = diskFree(dir)
	s.disk(&f)
	examineModels(&f, cfg)
	f.ok("version", "%s", Version)
	return view.Doctor{Verdict: view.Worst(f), Findings: []view.Finding(f)}
}

// examineHome reports whether there is a home to look into.
func examineHome(f *findings, home string) bool {
	info, err := os.Stat(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.ok("home", "%s does not exist yet: the first start makes it", home)
		return false
	case err != nil:
		f.problem("home", cure{"give this user access to it", "ls -ld " + home}, "%v", err)
		return false
	case !info.IsDir():
		f.problem("home", cure{"name another with --home", ""}, "%s is no folder", home)
		return false
	case unix.Access(home, unix.R_OK|unix.W_OK|unix.X_OK) != nil:
		f.problem("home", cure{"give this user access to it", "ls -ld " + home}, "this user may not read and write %s", home)
		return false
	}
	f.ok("home", "%s", home)
	return true
}

// examineSecrets looks at who may read what is secret.
func examineSecrets(f *findings, home string) {
	begun := exists(filepath.Join(home, "store")) || exists(filepath.Join(home, genesisFile))
	for _, file := range []struct{ name, is string }{
		{signer.KeyFile, "the key"}, {signer.RecordFile, "the record of what was signed"}, {view.TokenFile, "the API token"},
	} {
		path := filepath.Join(home, file.name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && begun && file.name != view.TokenFile:
			f.problem("identity", cure{"put it back from its backup", ""}, "%s %s is missing, and the home has a chain", file.is, path)
		case errors.Is(err, fs.ErrNotExist):
			f.ok("identity", "%s is made by the first start", file.is)
		case err != nil:
			f.problem("identity", cure{"give this user access to it", "ls -l " + path}, "%v", err)
		case info.Mode().Perm()&0o077 != 0:
			f.problem("identity", cure{"take the permission away", "chmod 600 " + path}, "%s %s can be read by others (mode %04o)", file.is, path, info.Mode().Perm())
		case file.name == signer.KeyFile:
			examineKey(f, home)
		default:
			f.ok("identity", "%s is this user's alone", file.is)
		}
	}
}

// examineKey looks whether the key, which only this user may read, is one.
func examineKey(f *findings, home string) {
	if err := signer.CheckKey(home); err != nil {
		f.problem("identity", cure{"put the key back from its backup", ""}, "%s", strings.TrimPrefix(err.Error(), "signer: "))
		return
	}
	f.ok("identity", "the key is this user's alone")
}

// examineGenesis looks at which federation the home belongs to.
func examineGenesis(f *findings, home string, now time.Time) {
	path := filepath.Join(home, genesisFile)
	if !exists(path) {
		f.ok("genesis", "none yet: the first start finds or founds a federation")
		return
	}
	g, hash, err := genesisIn(path)
	if err != nil {
		f.problem("genesis", cure{"put the file of another platform of the federation in its place", ""}, "%s cannot be used: %s", genesisFile, oneLine(GenesisFault(err)))
		return
	}
	f.ok("genesis", "%q, %s", g.Network, hash)
	if begun := time.UnixMilli(int64(g.Time)); now.Before(begun) {
		f.problem("clock", cure{"have it set from the network", "timedatectl set-ntp true"},
			"it says %s, which is before the federation was founded", now.UTC().Format(time.DateTime))
		return
	}
	f.ok("clock", "after the genesis; nobody is here to compare it with")
}

// genesisIn reads a genesis and its hash.
func genesisIn(path string) (g chain.Genesis, hash bft.GenesisHash, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return g, hash, err
	}
	if g, err = chain.ParseGenesis(raw); err != nil {
		return g, hash, err
	}
	hash, err = g.Hash()
	return g, hash, err
}

// examinePorts looks at whether the ports can be had.
func examinePorts(f *findings, cfg Config) {
	if portTaken(defaultPort) {
		f.warn("ports", cure{"see what has it", fmt.Sprintf("ss -lntup sport = :%d", defaultPort)},
			"port %d is taken: a free one is chosen instead, which a firewall may not let in", defaultPort)
	} else {
		f.ok("ports", "TCP and UDP port %d are free", defaultPort)
	}
	ln, err := net.Listen("tcp", cfg.APIAddr)
	if err != nil {
		f.warn("ports", cure{"see what has it, or choose another with --api-addr", "ss -lntp"}, "the API's address %s cannot be had: %v", cfg.APIAddr, err)
		return
	}
	if err := ln.Close(); err != nil {
		f.warn("ports", cure{}, "the API's address: %v", err)
		return
	}
	f.ok("ports", "the API's address %s is free", cfg.APIAddr)
}

// examineInterfaces looks at whether there is a network at all.
func examineInterfaces(f *findings) {
	all, err := net.Interfaces()
	if err != nil {
		f.warn("interfaces", cure{}, "the system does not list them: %v", err)
		return
	}
	var up []string
	for _, nic := range all {
		if addrs, err := nic.Addrs(); err == nil && nic.Flags&net.FlagUp != 0 && nic.Flags&net.FlagLoopback == 0 && len(addrs) > 0 {
			up = append(up, nic.Name)
		}
	}
	if len(up) == 0 {
		f.warn("interfaces", cure{"connect it to a network, unless this machine is to be alone", "ip address"}, "none is up but loopback")
		return
	}
	f.ok("interfaces", "up: %s", brief(up))
}
