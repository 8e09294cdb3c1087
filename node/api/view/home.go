package view

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files of HOME that the API writes.
const (
	AddrFile  = "api.addr"  // URL of the API, while the node runs
	TokenFile = "api.token" // what a write must carry; readable by its owner only
)

// DefaultAddr is where a node serves unless told otherwise.
const DefaultAddr = "127.0.0.1:7423"

// HomeHeader is the header of a request that is meant for the node of one home
// and no other. Its value is the home's [HomeMark].
const HomeHeader = "Sage-Home"

// HomeMark tells the homes of a machine apart without giving away the token
// from which it is made.
func HomeMark(token string) string {
	sum := sha256.Sum256([]byte("sage/home/1" + token))
	return hex.EncodeToString(sum[:8])
}

// TokenBytes is the length of a token, which is written in hexadecimal.
const TokenBytes = 32

// ReadToken returns the token of the node in home. It wraps fs.ErrNotExist
// when there is none; a token that others can read, or that is none of ours,
// is [CodeUnsafe].
func ReadToken(home string) (string, error) {
	path := filepath.Join(home, TokenFile)
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("view: API token: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", &Error{
			Code:    CodeUnsafe,
			Message: fmt.Sprintf("the API token %s can be read by others (mode %04o)", path, mode),
			Hint:    fmt.Sprintf("delete it if it may have been read (a new one is made), else: chmod 600 %s", path),
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("view: API token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if secret, err := hex.DecodeString(token); err != nil || len(secret) != TokenBytes {
		return "", &Error{
			Code:    CodeUnsafe,
			Message: fmt.Sprintf("the API token %s is damaged", path),
			Hint:    "delete it: the node makes a new one when it starts",
		}
	}
	return token, nil
}
