package journal_test

const childEnv = "JOURNAL_TEST_CHILD"

func crashChild() int { return 0 }
