// Package effort says how thorough tests are to be. What tries every point in every way takes long; make test tries every
// point in one way, or a sample of points, and make faults all of it.
package effort

import "os"

// variable, when set to full, asks for everything. It is what make faults sets.
const variable = "NETWORKSTACK_FAULTS"

// Full says whether everything is to be tried.
func Full() bool { return os.Getenv(variable) == "full" }
