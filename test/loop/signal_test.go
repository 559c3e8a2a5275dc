package loop_test

import "syscall"

const hangUp = syscall.SIGHUP
