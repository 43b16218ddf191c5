from tunesmith.cli.main import main

raise SystemExit(main())
