//go:build race

package worker

// raceDetector says that the tests run under it.
const raceDetector = true
