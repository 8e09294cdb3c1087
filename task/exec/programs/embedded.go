//go:build embed_programs

package programs

import "embed"

// compiled has the programs that go generate compiled.
//
//go:embed wasm/*.wasm.gz
var compiled embed.FS
