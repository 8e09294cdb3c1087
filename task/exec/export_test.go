package exec

import "io"

// RunHere is what a child does with a job, in this process and unconfined: an
// emulated processor cannot confine one.
func RunHere(job Job, cache string) (Result, error) {
	head := childJob{job.Task.Bytes(), job.AcceptTime, job.MemoryPages, job.OutputLimit, cache}
	return run(head, job.Program, job.Input, io.Discard)
}
