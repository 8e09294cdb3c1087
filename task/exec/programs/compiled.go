//go:build !embed_programs

package programs

import "embed"

// compiled is empty: see the build tag embed_programs.
var compiled embed.FS
